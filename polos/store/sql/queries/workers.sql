-- name: hello
INSERT INTO worker (id, pid, project, complete, claims, workflow_ids, code, started_at)
VALUES (:id, :pid, :project, :complete, :claims, :workflow_ids, :code, :started_at)
ON CONFLICT (id) DO UPDATE SET workflow_ids = excluded.workflow_ids, claims = excluded.claims, code = excluded.code,
  ended_at = NULL

-- name: goodbye
UPDATE worker SET ended_at = :now WHERE id = :id

-- name: retire
UPDATE worker SET claims = 'none' WHERE id = :id

-- name: bury_workers
UPDATE worker SET ended_at = :now WHERE ended_at IS NULL AND id NOT IN (SELECT value FROM json_each(:keep))

-- name: workers
SELECT id, pid, project, complete, workflow_ids, started_at, claims, ended_at, code FROM worker
ORDER BY ended_at IS NOT NULL, started_at DESC LIMIT 200

-- name: put_alias
INSERT INTO workflow_alias (alias, workflow_id, project) VALUES (:alias, :workflow_id, :project)
ON CONFLICT (alias) DO UPDATE SET workflow_id = excluded.workflow_id, project = excluded.project

-- name: remove_aliases
DELETE FROM workflow_alias WHERE project = :project AND alias NOT IN (SELECT value FROM json_each(:aliases))

-- name: rename_trigger
UPDATE event_trigger SET workflow_id = :workflow_id WHERE workflow_id = :alias AND project = :project
  AND NOT EXISTS (SELECT 1 FROM event_trigger t WHERE t.workflow_id = :workflow_id)

-- name: rename_schedules
UPDATE schedule SET workflow_id = :workflow_id WHERE workflow_id = :alias AND (is_declared = 0 OR project = :project)
  AND NOT EXISTS (SELECT 1 FROM schedule s
    WHERE s.workflow_id = :workflow_id AND s.key = schedule.key AND s.is_declared = schedule.is_declared)
