-- Copies one suspended run, with its state and its entry, for each job. Other runs are deleted.
-- bench.asked is JSON: the id of the run, the ids of the jobs, and the tags of the copies.
DROP TABLE IF EXISTS made CASCADE;

CREATE TEMP TABLE made AS
SELECT gen_random_uuid() AS id, gen_random_uuid() AS state_id, (asked ->> 'template')::uuid AS template,
    asked -> 'tags' AS tags, job_id
FROM (SELECT current_setting('bench.asked')::jsonb AS asked) a, jsonb_array_elements_text(asked -> 'job_ids') job_id;

DELETE FROM flow_run WHERE id <> (SELECT template FROM made LIMIT 1);

INSERT INTO flow_run
SELECT n.* FROM made m JOIN flow_run r ON r.id = m.template, jsonb_populate_record(
    r, jsonb_build_object('id', m.id, 'state_id', NULL, 'name', m.job_id, 'tags', m.tags)
) n;

INSERT INTO flow_run_state
SELECT n.* FROM made m JOIN flow_run_state s ON s.flow_run_id = m.template, jsonb_populate_record(
    s,
    jsonb_build_object(
        'id', m.state_id, 'flow_run_id', m.id,
        'state_details', replace(s.state_details::text, m.template::text, m.id::text)::jsonb
    )
) n;

UPDATE flow_run r SET state_id = m.state_id FROM made m WHERE r.id = m.id;

INSERT INTO flow_run_input
SELECT n.* FROM made m JOIN flow_run_input i ON i.flow_run_id = m.template, jsonb_populate_record(
    i,
    jsonb_build_object(
        'id', gen_random_uuid(), 'flow_run_id', m.id, 'value', replace(i.value, 'THE-JOB', m.job_id)
    )
) n;

-- Each resumption: a run that is resumed twice is here twice.
CREATE TEMP VIEW resumed AS
SELECT m.job_id, extract(epoch FROM s.timestamp)::float8 AS at
FROM made m JOIN flow_run_state s ON s.flow_run_id = m.id WHERE s.name = 'Resuming' ORDER BY s.timestamp;

ANALYZE;
