-- name: insert_execution
INSERT INTO execution (id, workflow_id, status, available_at, topic, event_position, parent, parent_key, parent_index,
  parent_life, root, session_id, user_id, queue, concurrency_key, placed_at, schedule, idempotency_key, run_timeout, origin,
  created_at)
VALUES (:id, :workflow_id, :status, :available_at, :topic, :event_position, :parent, :parent_key, :parent_index,
  :parent_life, :root, :session_id, :user_id,
  COALESCE(:queue, (SELECT d.queue FROM declared d WHERE d.workflow_id = :workflow_id)), :concurrency_key, :available_at,
  :schedule, :idempotency_key, :run_timeout, :origin, :created_at)
ON CONFLICT (id) DO NOTHING
RETURNING number

-- name: set_root
UPDATE execution SET root = :number WHERE number = :number

-- name: insert_input
INSERT INTO input (execution, value, shape, checksum, state, state_shape, state_checksum)
VALUES (:execution, :value, :shape, :checksum, :state, :state_shape, :state_checksum)

-- name: find_idempotent
SELECT e.number, e.id, i.value, i.shape, r.id, r.workflow_id
FROM execution e JOIN input i ON i.execution = e.number JOIN execution r ON r.number = e.root
WHERE e.idempotency_key = :idempotency_key AND e.workflow_id IN (
  SELECT :workflow_id UNION ALL SELECT a.alias FROM workflow_alias a WHERE a.workflow_id = :workflow_id)
ORDER BY e.number LIMIT 1

-- name: claim
UPDATE execution SET status = :running, epoch = epoch + 1, commit_number = 0, worker_id = :worker_id, seen_at = :now,
  started_at = COALESCE(started_at, :now)
WHERE number IN (
  SELECT e.number FROM execution e
  WHERE e.status = 'queued' AND e.queue IS NULL AND e.available_at <= :now
    AND (e.worker_id IS NULL OR e.worker_id = :worker_id OR e.available_at <= :offered_until
      OR EXISTS (SELECT 1 FROM worker w WHERE w.id = e.worker_id AND (w.ended_at IS NOT NULL OR w.claims = 'none')))
    AND e.deaths < :deaths_below
    AND e.workflow_id IN (SELECT value FROM json_each(:workflow_ids))
    AND (:only_rest = 0
      OR EXISTS (SELECT 1 FROM execution r WHERE r.number = e.root AND r.origin = :worker_id)
      OR NOT EXISTS (SELECT 1 FROM worker w, json_each(w.workflow_ids) m
        WHERE w.ended_at IS NULL AND w.claims = 'all' AND w.id <> :worker_id AND m.value = e.workflow_id))
    AND (:any_root = 1 OR e.root IN (SELECT number FROM execution WHERE id IN (SELECT value FROM json_each(:root_ids))))
  ORDER BY e.available_at, e.number LIMIT :limit)
RETURNING number, deaths

-- name: claimable
SELECT e.number, e.available_at FROM execution e
WHERE e.status = 'queued' AND e.queue IS NULL AND e.available_at <= :now
  AND (e.worker_id IS NULL OR e.worker_id = :worker_id OR e.available_at <= :offered_until
    OR EXISTS (SELECT 1 FROM worker w WHERE w.id = e.worker_id AND (w.ended_at IS NOT NULL OR w.claims = 'none')))
  AND e.deaths < :deaths_below
  AND e.workflow_id IN (SELECT value FROM json_each(:workflow_ids))
  AND (:only_rest = 0
    OR EXISTS (SELECT 1 FROM execution r WHERE r.number = e.root AND r.origin = :worker_id)
    OR NOT EXISTS (SELECT 1 FROM worker w, json_each(w.workflow_ids) m
      WHERE w.ended_at IS NULL AND w.claims = 'all' AND w.id <> :worker_id AND m.value = e.workflow_id))
  AND (:any_root = 1 OR e.root IN (SELECT number FROM execution WHERE id IN (SELECT value FROM json_each(:root_ids))))
ORDER BY e.available_at, e.number LIMIT :limit

-- name: take
UPDATE execution SET status = :running, epoch = epoch + 1, commit_number = 0, worker_id = :worker_id, seen_at = :now,
  started_at = COALESCE(started_at, :now)
WHERE number IN (SELECT value FROM json_each(:numbers))
RETURNING number, deaths

-- name: put_back
UPDATE execution SET status = :queued, worker_id = NULL WHERE number IN (SELECT value FROM json_each(:numbers))

-- name: claimed_rows
SELECT e.number, e.id, e.workflow_id, e.status, e.created_at, e.started_at, e.available_at, e.epoch, e.seq, e.deaths, e.life,
  e.stored_bytes, e.log_lines, e.worker_id, p.id, e.parent_key, r.id, r.workflow_id, e.session_id, e.user_id,
  e.idempotency_key, e.run_timeout, e.ran_for, e.ending, i.value, i.shape, i.checksum, i.state, i.state_shape,
  i.state_checksum
FROM execution e JOIN input i ON i.execution = e.number JOIN execution r ON r.number = e.root
  LEFT JOIN execution p ON p.number = e.parent
WHERE e.number IN (SELECT value FROM json_each(:numbers))

-- name: next_available
SELECT MIN(available_at) FROM execution WHERE status = 'queued' AND available_at > :now

-- name: next_offer
SELECT MIN(available_at) FROM execution
WHERE status = 'queued' AND worker_id IS NOT NULL AND available_at > :offered_until

-- name: fence
UPDATE execution SET seq = seq + :outcomes, commit_number = :commit_number, stored_bytes = stored_bytes + :bytes,
  log_lines = MAX(log_lines, :log_lines), deaths = CASE WHEN :outcomes > 0 THEN 0 ELSE deaths END,
  ran_for = ran_for + MAX(0, :now - seen_at), seen_at = :now
WHERE number = :execution AND epoch = :epoch AND status = 'running' AND commit_number < :commit_number
RETURNING seq, topic, event_position, id, root, life, parent, ending, queue,
  (SELECT w.code FROM worker w WHERE w.id = worker_id)

-- name: lease_state
SELECT status, epoch, commit_number, seq, worker_id, ending, run_timeout FROM execution WHERE number = :execution

-- name: set_status
UPDATE execution SET status = :status, worker_id = :worker_id, available_at = :available_at WHERE number = :execution

-- name: finish
UPDATE execution SET status = :status, worker_id = NULL, ended_at = :now, error_type = :error_type, ending = NULL
WHERE number = :execution

-- name: insert_result
INSERT INTO result (execution, value, shape, checksum, failure, cause_key, reason)
VALUES (:execution, :value, :shape, :checksum, :failure, :cause_key, :reason)
ON CONFLICT (execution) DO UPDATE SET value = excluded.value, shape = excluded.shape, checksum = excluded.checksum,
  failure = excluded.failure, cause_key = excluded.cause_key, reason = excluded.reason
WHERE result.reason IS NOT NULL

-- name: take_seq
UPDATE execution SET seq = seq + 1, deaths = 0,
  available_at = CASE WHEN status = :asleep THEN :now ELSE available_at END,
  status = CASE WHEN status = :asleep THEN :awake ELSE status END
WHERE number = :execution
RETURNING seq, status, topic, worker_id

-- name: wake
UPDATE execution SET status = :awake, available_at = :now WHERE number = :execution AND status = :asleep RETURNING number

-- name: take_over
UPDATE execution SET status = :queued, worker_id = NULL, deaths = deaths + 1, available_at = :now
WHERE status = 'running' AND worker_id NOT IN (SELECT value FROM json_each(:keep))
RETURNING number, id

-- name: bury
UPDATE execution SET status = :queued, worker_id = NULL, deaths = deaths + 1, available_at = :now
WHERE status = 'running' AND worker_id = :worker_id
RETURNING number, id

-- name: held_by
SELECT number, epoch FROM execution WHERE status = 'running' AND worker_id = :worker_id

-- name: give_back
UPDATE execution SET status = :queued, worker_id = NULL, available_at = :now
WHERE status = 'running' AND worker_id = :worker_id AND number IN (SELECT value FROM json_each(:numbers))
RETURNING number

-- name: requeue_blocked
UPDATE execution SET status = :queued, available_at = :now, worker_id = NULL, deaths = MIN(deaths, :deaths)
WHERE status = 'blocked' AND COALESCE(blocked_code, '') <> :code
  AND workflow_id IN (SELECT value FROM json_each(:workflow_ids))
RETURNING number, id, topic

-- name: release_blocked
UPDATE execution SET status = :queued, available_at = :now, worker_id = NULL, deaths = MIN(deaths, :deaths)
WHERE status = 'blocked' AND id IN (SELECT value FROM json_each(:ids))
RETURNING number, id, topic

-- name: block
UPDATE execution SET status = :status, worker_id = NULL, available_at = :now, blocked_code = :code WHERE number = :execution
RETURNING ending

-- name: code_of_worker
SELECT code FROM worker WHERE id = :id

-- name: stop
UPDATE execution SET ending = :ending, seq = seq + 1,
  available_at = CASE WHEN status IN (:asleep, :awake) THEN :now ELSE available_at END,
  status = CASE WHEN status = :asleep THEN :awake ELSE status END
WHERE number = :execution
RETURNING seq, status, topic, worker_id, ran_for + CASE WHEN status = 'running' THEN MAX(0, :now - seen_at) ELSE 0 END

-- name: tree_to_stop
WITH RECURSIVE tree (number) AS (
  SELECT :execution UNION ALL SELECT c.number FROM execution c JOIN tree t ON c.parent = t.number
)
SELECT e.number, e.id, e.status, e.ending, e.started_at IS NOT NULL, e.topic, e.parent, e.parent_key, e.schedule,
  EXISTS (SELECT 1 FROM worker w, json_each(w.workflow_ids) m
    WHERE w.ended_at IS NULL AND m.value = e.workflow_id
      AND (w.claims NOT IN ('own', 'none') OR w.id = e.worker_id OR w.id = (SELECT r.origin FROM execution r WHERE r.number = e.root)))
FROM tree t JOIN execution e ON e.number = t.number
WHERE e.status NOT IN ('completed', 'failed', 'cancelled') ORDER BY e.number

-- name: reopen
UPDATE execution SET status = :queued, worker_id = NULL, available_at = :now, placed_at = :now, ended_at = NULL,
  error_type = NULL, ending = NULL, deaths = 0, ran_for = 0, life = life + 1, blocked_code = NULL
WHERE number = :execution
RETURNING life, topic, id

-- name: unblock
UPDATE execution SET status = :queued, worker_id = NULL, available_at = :now, deaths = 0 WHERE number = :execution
RETURNING topic, id, life

-- name: end_to_take_back
SELECT e.status, e.error_type, e.ended_at, r.failure, r.cause_key
FROM execution e LEFT JOIN result r ON r.execution = e.number WHERE e.number = :execution

-- name: delete_result
DELETE FROM result WHERE execution = :execution

-- name: insert_life
INSERT INTO life (execution, number, outcome, error_type, failure, cause_key, ended_at, retried_at)
VALUES (:execution, :number, :outcome, :error_type, :failure, :cause_key, :ended_at, :now)

-- name: lives_of
SELECT number, outcome, error_type, cause_key, ended_at, retried_at FROM life WHERE execution = :execution ORDER BY number

-- name: parent_of
SELECT c.id, c.parent_key, p.number, p.id, r.number, r.id, p.status, c.parent_life, p.life
FROM execution c JOIN execution p ON p.number = c.parent JOIN execution r ON r.number = c.root
WHERE c.number = :execution

-- name: open_children
SELECT c.number, c.id, c.status, c.parent_key, c.ended_at FROM execution c
WHERE c.parent = :execution AND c.parent_life = :life AND c.status IN ('failed', 'cancelled')
ORDER BY c.number

-- name: keep_children
UPDATE execution SET parent_life = :life
WHERE parent = :execution AND parent_life = :before AND parent_key NOT IN (SELECT value FROM json_each(:keys))

-- name: started_before
SELECT e.number, e.workflow_id, r.id, r.workflow_id FROM execution e JOIN execution r ON r.number = e.root WHERE e.id = :id

-- name: execution_by_id
SELECT number, status, id, topic, ending FROM execution WHERE id = :id

-- name: ending_facts
SELECT id, topic, parent, parent_key, schedule, run_timeout, queue FROM execution WHERE number = :execution

-- name: lost_too_often
SELECT e.number, w.code FROM execution e LEFT JOIN worker w ON w.id = e.worker_id
WHERE e.status = 'running' AND e.deaths >= :deaths AND e.worker_id NOT IN (SELECT value FROM json_each(:keep))
  AND (:worker_id IS NULL OR e.worker_id = :worker_id)
