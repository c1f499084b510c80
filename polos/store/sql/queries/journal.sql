-- name: insert_entry
INSERT INTO journal (execution, key, seq, after, kind, outcome, attempt, value, shape, checksum, failure, request, event,
  site, arguments, code, started_at, ended_at)
VALUES (:execution, :key, :seq, :after, :kind, :outcome, :attempt, :value, :shape, :checksum, :failure, :request, :event,
  :site, :arguments, :code, :started_at, :ended_at)

-- name: entries_after
SELECT key, kind, outcome, seq, after, attempt, value, shape, checksum, failure, request, event, site, arguments,
  code, started_at, ended_at
FROM journal WHERE execution = :execution AND superseded = 0 AND seq > :since ORDER BY seq

-- name: stop_seq
SELECT seq FROM journal WHERE execution = :execution AND kind = 'stop' AND superseded = 0

-- name: insert_wait
INSERT INTO wait (execution, key, kind, after, channel, deadline, match, since, remaining, request, site, started_at)
VALUES (:execution, :key, :kind, :after, :channel, :deadline, :match, :since, :remaining, :request, :site, :started_at)
ON CONFLICT (execution, key) DO NOTHING

-- name: waits_of
SELECT key, kind, after, channel, deadline, request, site, started_at FROM wait WHERE execution = :execution ORDER BY position

-- name: count_waits
SELECT COUNT(*) FROM wait WHERE execution = :execution AND key IN (SELECT value FROM json_each(:keys))

-- name: delete_wait
DELETE FROM wait WHERE execution = :execution AND key = :key
RETURNING kind, after, request, site, started_at

-- name: delete_waits
DELETE FROM wait WHERE execution = :execution

-- name: waits_on
SELECT execution, key, kind, match, since FROM wait WHERE channel = :channel ORDER BY position

-- name: child_ended
UPDATE wait SET remaining = remaining - 1 WHERE channel = :channel
  AND EXISTS (SELECT 1 FROM execution c JOIN execution p ON p.number = c.parent
    WHERE c.id = :child AND c.parent_life = p.life)
RETURNING execution, key, remaining

-- name: child_reopened
UPDATE wait SET remaining = remaining + 1 WHERE channel = :channel
  AND EXISTS (SELECT 1 FROM execution c JOIN execution p ON p.number = c.parent
    WHERE c.id = :child AND c.parent_life = p.life)

-- name: due_waits
SELECT execution, key, kind FROM wait WHERE deadline IS NOT NULL AND deadline <= :now ORDER BY deadline LIMIT :limit

-- name: next_deadline
SELECT MIN(deadline) FROM wait WHERE deadline IS NOT NULL

-- name: insert_attempt
INSERT INTO attempt (execution, key, attempt, failure, started_at, ended_at, due_at)
VALUES (:execution, :key, :attempt, :failure, :started_at, :ended_at, :due_at)

-- name: attempts_of
SELECT key, attempt, failure, started_at, ended_at, due_at FROM attempt
WHERE execution = :execution AND superseded = 0 ORDER BY position

-- name: insert_answer
INSERT INTO answer (execution, key, id, value, shape, checksum, created_at)
VALUES (:execution, :key, :id, :value, :shape, :checksum, :created_at)
ON CONFLICT (execution, key) DO NOTHING RETURNING position

-- name: answer_of
SELECT position, id, value, shape, checksum, created_at FROM answer WHERE execution = :execution AND key = :key

-- name: children_results
SELECT e.workflow_id, e.status, r.value, r.shape, r.checksum, r.failure
FROM execution e LEFT JOIN result r ON r.execution = e.number
WHERE e.parent = :parent AND e.parent_key = :key AND e.parent_life = (SELECT p.life FROM execution p WHERE p.number = :parent)
ORDER BY e.parent_index

-- name: ended_result
SELECT e.number, e.status, r.value, r.shape, r.checksum, r.failure
FROM execution e LEFT JOIN result r ON r.execution = e.number WHERE e.id = :id

-- name: insert_log
INSERT INTO log (execution, key, attempt, number, level, stream, text, at)
VALUES (:execution, :key, :attempt, :number, :level, :stream, :text, :at)

-- name: own_waits_on
SELECT key, match, since FROM wait WHERE execution = :execution AND channel = :channel ORDER BY position

-- name: kind_of_wait
SELECT kind FROM wait WHERE execution = :execution AND key = :key

-- name: kind_of_entry
SELECT kind, outcome FROM journal WHERE execution = :execution AND key = :key AND superseded = 0

-- name: set_retry
INSERT INTO wait (execution, key, kind, after, deadline, since, remaining, site, started_at)
VALUES (:execution, :key, :kind, :after, :deadline, 0, 1, :site, :started_at)
ON CONFLICT (execution, key) DO UPDATE SET deadline = excluded.deadline, started_at = excluded.started_at

-- name: children_of
SELECT id, number, workflow_id, status FROM execution
WHERE parent = :parent AND parent_key = :key AND parent_life = :life ORDER BY parent_index

-- name: supersede_entries
UPDATE journal SET superseded = :life
WHERE execution = :execution AND superseded = 0 AND key IN (SELECT value FROM json_each(:keys))

-- name: supersede_attempts
UPDATE attempt SET superseded = :life
WHERE execution = :execution AND superseded = 0 AND key NOT IN (
  SELECT key FROM journal WHERE execution = :execution AND superseded = 0)

-- name: forget_answers
DELETE FROM answer WHERE execution = :execution AND key IN (SELECT value FROM json_each(:keys))

-- name: forget_released
DELETE FROM released WHERE execution = :execution AND key IN (SELECT value FROM json_each(:keys))

-- name: lives_of_keys
SELECT j.key, MAX(j.superseded) FROM journal j
WHERE j.execution = :execution AND j.superseded > 0 AND NOT EXISTS (
  SELECT 1 FROM life l WHERE l.execution = j.execution AND l.number = j.superseded AND l.cause_key = j.key)
GROUP BY j.key

-- name: superseded_entries
SELECT key, kind, outcome, seq, after, attempt, value, shape, checksum, failure, request, event, site, arguments,
  code, started_at, ended_at, superseded
FROM journal WHERE execution = :execution AND superseded > 0 ORDER BY superseded, seq

-- name: save_state
INSERT INTO state (execution, value, shape, checksum) VALUES (:execution, :value, :shape, :checksum)
ON CONFLICT (execution) DO UPDATE SET value = excluded.value, shape = excluded.shape, checksum = excluded.checksum
