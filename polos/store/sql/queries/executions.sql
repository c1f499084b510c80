-- name: insert_execution
INSERT INTO execution (id, workflow_id, status, available_at, topic, event_position, parent, parent_key, parent_index,
  root, session_id, user_id, queue, concurrency_key, idempotency_key, run_timeout, origin, created_at)
VALUES (:id, :workflow_id, :status, :available_at, :topic, :event_position, :parent, :parent_key, :parent_index,
  :root, :session_id, :user_id, :queue, :concurrency_key, :idempotency_key, :run_timeout, :origin, :created_at)
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
WHERE e.workflow_id = :workflow_id AND e.idempotency_key = :idempotency_key

-- name: claim
UPDATE execution SET status = :running, epoch = epoch + 1, commit_number = 0, worker_id = :worker_id,
  started_at = COALESCE(started_at, :now)
WHERE number IN (
  SELECT e.number FROM execution e
  WHERE e.status = 'queued' AND e.available_at <= :now
    AND (e.worker_id IS NULL OR e.worker_id = :worker_id OR e.available_at <= :offered_until
      OR EXISTS (SELECT 1 FROM worker w WHERE w.id = e.worker_id AND w.ended_at IS NOT NULL))
    AND (:any_workflow = 1 OR e.workflow_id IN (SELECT value FROM json_each(:workflow_ids)))
    AND (:only_rest = 0
      OR EXISTS (SELECT 1 FROM execution r WHERE r.number = e.root AND r.origin = :worker_id)
      OR NOT EXISTS (SELECT 1 FROM worker w, json_each(w.workflow_ids) m
        WHERE w.ended_at IS NULL AND w.claims = 'all' AND w.id <> :worker_id AND m.value = e.workflow_id))
    AND (:any_root = 1 OR e.root IN (SELECT number FROM execution WHERE id IN (SELECT value FROM json_each(:root_ids))))
  ORDER BY e.available_at, e.number LIMIT :limit)
RETURNING number

-- name: claimed_rows
SELECT e.number, e.id, e.workflow_id, e.status, e.created_at, e.started_at, e.available_at, e.epoch, e.seq, e.deaths, e.life,
  e.stored_bytes, e.log_lines, e.worker_id, p.id, e.parent_key, r.id, r.workflow_id, e.session_id, e.user_id,
  e.idempotency_key, e.run_timeout, i.value, i.shape, i.checksum, i.state, i.state_shape, i.state_checksum
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
  log_lines = MAX(log_lines, :log_lines), deaths = CASE WHEN :outcomes > 0 THEN 0 ELSE deaths END
WHERE number = :execution AND epoch = :epoch AND status = 'running' AND commit_number < :commit_number
RETURNING seq, topic, event_position, id, root, parent, parent_key, parent_index

-- name: lease_state
SELECT status, epoch, commit_number, seq, worker_id FROM execution WHERE number = :execution

-- name: set_status
UPDATE execution SET status = :status, worker_id = :worker_id, available_at = :available_at WHERE number = :execution

-- name: finish
UPDATE execution SET status = :status, worker_id = NULL, ended_at = :now, error_type = :error_type WHERE number = :execution

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
UPDATE execution SET status = :queued, available_at = :now WHERE status = 'blocked' RETURNING number

-- name: started_before
SELECT e.number, e.workflow_id, r.id, r.workflow_id FROM execution e JOIN execution r ON r.number = e.root WHERE e.id = :id

-- name: execution_by_id
SELECT number, status, id, topic FROM execution WHERE id = :id
