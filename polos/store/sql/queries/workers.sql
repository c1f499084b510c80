-- name: hello
INSERT INTO worker (id, pid, project, complete, workflow_ids, started_at)
VALUES (:id, :pid, :project, :complete, :workflow_ids, :started_at)
ON CONFLICT (id) DO UPDATE SET workflow_ids = excluded.workflow_ids, ended_at = NULL

-- name: goodbye
UPDATE worker SET ended_at = :now WHERE id = :id

-- name: bury_workers
UPDATE worker SET ended_at = :now WHERE ended_at IS NULL

-- name: workers
SELECT id, pid, project, complete, workflow_ids, started_at FROM worker ORDER BY started_at DESC LIMIT 50
