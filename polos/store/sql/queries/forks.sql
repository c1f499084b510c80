-- name: fork_source
SELECT e.number, e.workflow_id, e.event_position, e.session_id, e.user_id, e.queue, e.concurrency_key, e.run_timeout,
  i.value, i.shape, i.checksum, i.state, i.state_shape, i.state_checksum
FROM execution e JOIN input i ON i.execution = e.number WHERE e.id = :id

-- name: copy_entries
INSERT INTO journal (execution, key, seq, after, kind, outcome, attempt, value, shape, checksum, failure, request, event,
  site, arguments, code, started_at, ended_at)
SELECT :execution, key, seq, after, kind, outcome, attempt, value, shape, checksum, failure, request, event,
  site, arguments, code, started_at, ended_at
FROM journal WHERE execution = :source AND superseded = 0 AND seq <= :after ORDER BY seq

-- name: copy_attempts
INSERT INTO attempt (execution, key, attempt, failure, started_at, ended_at, due_at)
SELECT :execution, a.key, a.attempt, a.failure, a.started_at, a.ended_at, a.due_at
FROM attempt a JOIN journal j ON j.execution = a.execution AND j.key = a.key AND j.superseded = 0
WHERE a.execution = :source AND a.superseded = 0 AND j.seq <= :after ORDER BY a.position

-- name: copy_released
INSERT INTO released (execution, key)
SELECT :execution, r.key FROM released r JOIN journal j ON j.execution = r.execution AND j.key = r.key AND j.superseded = 0
WHERE r.execution = :source AND j.seq <= :after

-- name: edit_entry
UPDATE journal SET outcome = :outcome, value = :value, shape = :shape, checksum = :checksum, failure = NULL
WHERE execution = :execution AND key = :key

-- name: begin_fork
UPDATE execution SET event_position = COALESCE(:event_position, event_position), seq = :after,
  stored_bytes = (SELECT COALESCE(SUM(LENGTH(value)), 0) FROM journal WHERE execution = :execution)
WHERE number = :execution

-- name: insert_fork
INSERT INTO fork (execution, source, source_number, source_workflow, at, kept, has_other_input, edits)
VALUES (:execution, :source, :source_number, :source_workflow, :at, :kept, :has_other_input, :edits)

-- name: provenance
SELECT source_number, source, source_workflow, at, kept, has_other_input, edits FROM fork WHERE execution = :execution
