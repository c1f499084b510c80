-- name: put_queue
INSERT INTO queue (name, project, concurrency_limit) VALUES (:name, :project, :concurrency_limit)
ON CONFLICT (name) DO UPDATE SET project = excluded.project, concurrency_limit = excluded.concurrency_limit

-- name: remove_queues
DELETE FROM queue WHERE project = :project AND name NOT IN (SELECT value FROM json_each(:declared))

-- name: declared_elsewhere
SELECT d.workflow_id, d.project FROM declared d
WHERE d.workflow_id IN (SELECT value FROM json_each(:workflow_ids)) AND d.project <> :project AND d.complete = 1
  AND EXISTS (SELECT 1 FROM worker w WHERE w.project = d.project AND w.ended_at IS NULL AND w.complete = 1)
ORDER BY d.workflow_id

-- name: put_declared
INSERT INTO declared (workflow_id, project, complete, queue, about)
VALUES (:workflow_id, :project, :complete, :queue, :about)
ON CONFLICT (workflow_id) DO UPDATE SET project = excluded.project, queue = excluded.queue,
  about = COALESCE(excluded.about, declared.about),
  complete = MAX(declared.complete, excluded.complete)
WHERE declared.project = excluded.project OR declared.complete = 0 OR excluded.complete = 1

-- name: remove_declared
DELETE FROM declared WHERE project = :project AND complete = 1
  AND workflow_id NOT IN (SELECT value FROM json_each(:workflow_ids))

-- name: declared
SELECT workflow_id, queue, about FROM declared ORDER BY workflow_id

-- name: any_in_line
SELECT 1 FROM execution WHERE status = 'queued' AND queue IS NOT NULL AND available_at <= :now LIMIT 1

-- name: lines
WITH RECURSIVE line (queue, concurrency_key) AS (
  SELECT * FROM (SELECT e.queue, e.concurrency_key FROM execution e
    WHERE e.status = 'queued' AND e.queue IS NOT NULL AND (e.queue, e.concurrency_key) > (:queue, :concurrency_key)
    ORDER BY e.queue, e.concurrency_key LIMIT 1)
  UNION ALL
  SELECT
    (SELECT e.queue FROM execution e WHERE e.status = 'queued' AND e.queue IS NOT NULL
      AND (e.queue, e.concurrency_key) > (line.queue, line.concurrency_key) ORDER BY e.queue, e.concurrency_key LIMIT 1),
    (SELECT e.concurrency_key FROM execution e WHERE e.status = 'queued' AND e.queue IS NOT NULL
      AND (e.queue, e.concurrency_key) > (line.queue, line.concurrency_key) ORDER BY e.queue, e.concurrency_key LIMIT 1)
  FROM line WHERE line.queue IS NOT NULL LIMIT :limit
)
SELECT l.queue, l.concurrency_key, q.concurrency_limit,
  (SELECT COUNT(*) FROM execution r WHERE r.status = 'running' AND r.queue = l.queue
    AND r.concurrency_key = l.concurrency_key)
FROM line l LEFT JOIN queue q ON q.name = l.queue WHERE l.queue IS NOT NULL

-- name: line_front
SELECT a.number, a.placed_at FROM (SELECT f.number, f.placed_at, f.is_mine FROM (
  SELECT e.number, e.placed_at, e.workflow_id,
    (e.worker_id IS NULL OR e.worker_id = :worker_id OR e.available_at <= :offered_until
      OR EXISTS (SELECT 1 FROM worker w WHERE w.id = e.worker_id AND (w.ended_at IS NOT NULL OR w.claims = 'none')))
    AND e.deaths < :deaths_below
    AND e.workflow_id IN (SELECT value FROM json_each(:workflow_ids))
    AND (:only_rest = 0
      OR EXISTS (SELECT 1 FROM execution r WHERE r.number = e.root AND r.origin = :worker_id)
      OR NOT EXISTS (SELECT 1 FROM worker w, json_each(w.workflow_ids) m
        WHERE w.ended_at IS NULL AND w.claims = 'all' AND w.id <> :worker_id AND m.value = e.workflow_id))
    AND (:any_root = 1 OR e.root IN (SELECT number FROM execution WHERE id IN (SELECT value FROM json_each(:root_ids))))
    AS is_mine
  FROM execution e
  WHERE e.status = 'queued' AND e.queue = :queue AND e.concurrency_key = :concurrency_key AND e.available_at <= :now) f
WHERE f.is_mine OR (:only_mine = 0 AND f.workflow_id IN (
  SELECT m.value FROM worker w, json_each(w.workflow_ids) m WHERE w.ended_at IS NULL AND w.claims NOT IN ('own', 'none')))
ORDER BY f.placed_at, f.number LIMIT :places) a
WHERE a.is_mine ORDER BY a.placed_at, a.number LIMIT :limit

-- name: queue_states
SELECT q.name, COALESCE(p.concurrency_key, ''), q.concurrency_limit, COALESCE(p.queued, 0), p.oldest_at
FROM queue q LEFT JOIN (
  SELECT queue, concurrency_key, SUM(status = 'queued') AS queued,
    MIN(CASE WHEN status = 'queued' THEN placed_at END) AS oldest_at
  FROM execution WHERE queue IS NOT NULL AND status IN ('queued', 'running') GROUP BY queue, concurrency_key
) p ON p.queue = q.name
UNION ALL
SELECT e.queue, e.concurrency_key, NULL, SUM(e.status = 'queued'), MIN(CASE WHEN e.status = 'queued' THEN e.placed_at END)
FROM execution e WHERE e.queue IS NOT NULL AND e.status IN ('queued', 'running')
  AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.name = e.queue) GROUP BY e.queue, e.concurrency_key
ORDER BY 1, 2

-- name: queue_holders
SELECT queue, concurrency_key, number FROM execution WHERE status = 'running' AND queue IS NOT NULL
ORDER BY queue, concurrency_key, number

-- name: place_in_line
SELECT COUNT(*) FROM execution a JOIN execution e ON e.number = :execution
WHERE a.status = 'queued' AND a.queue = e.queue AND a.concurrency_key = e.concurrency_key
  AND (a.placed_at, a.number) < (e.placed_at, e.number)
