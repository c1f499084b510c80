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
