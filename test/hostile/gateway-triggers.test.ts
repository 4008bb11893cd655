import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { freshFolder } from '../archive/support.ts'
import { command } from '../support/command.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'

/** Triggers find their own names by the path of whoever writes: ours must lead where the gateway's does. */
const SCHEMAS = ['public', 'Gate Way'] as const

/** On every table, for every row and statement, before and after: an unqualified function that writes to an unqualified table. */
function triggers(quoted: string): string {
  return `
    SET search_path = ${quoted};
    CREATE TABLE notes (at_table text, what text);
    CREATE FUNCTION noted(at_table text, what text) RETURNS bool LANGUAGE sql AS 'INSERT INTO notes VALUES ($1, $2) RETURNING true';
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM noted(TG_TABLE_NAME::text, lower(TG_LEVEL) || ' ' || lower(TG_WHEN) || ' ' || lower(TG_OP));
      RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END $$;
    DO $$
    DECLARE name text;
    BEGIN
      FOR name IN SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname <> 'notes' LOOP
        EXECUTE format('CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION note()', name);
        EXECUTE format('CREATE TRIGGER b AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION note()', name);
        EXECUTE format('CREATE TRIGGER c BEFORE INSERT OR UPDATE OR DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION note()', name);
        EXECUTE format('CREATE TRIGGER d AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH STATEMENT EXECUTE FUNCTION note()', name);
      END LOOP;
    END $$;`.replace('current_schema()::regnamespace', `${sqlText(quoted)}::regnamespace`)
}

function sqlText(text: string): string {
  return `'${text}'`
}

async function notes({ admin }: FreshPostgres): Promise<ReadonlyMap<string, number>> {
  const { rows } = await admin.query<{ note: string; n: string }>(
    `SELECT at_table || ' ' || what AS note, count(*) AS n FROM notes GROUP BY 1`,
  )
  return new Map(rows.map(({ note, n }) => [note, Number(n)]))
}

for (const major of POSTGRES_MAJORS) {
  describe(`triggers that use unqualified names on PostgreSQL ${major}`, () => {
    for (const schema of SCHEMAS) {
      it(`work under every statement of the program as under the gateway's own, in schema ${schema}`, async () => {
        await using test = await freshPostgres(major)
        await using folder = await freshFolder()
        const quoted = `"${schema}"`
        const env = { DATABASE_URL: test.url, DATABASE_SCHEMA: schema, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: 'archive' }
        const run = async (...words: string[]): Promise<void> => {
          const { code, stdout, stderr } = await command(words, { env, cwd: folder.path })
          assert.equal(code, 0, `${words.join(' ')}\n${stdout}${stderr}`)
        }
        await test.admin.query(`CREATE SCHEMA IF NOT EXISTS ${quoted}`)
        await run('migrate')
        await test.admin.query(triggers(quoted))
        await test.admin.query(`
          INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp")
          SELECT 't', 'u', 'a', 's', now() AT TIME ZONE 'UTC' - i * interval '10 days' FROM generate_series(1, 20) AS i;
          INSERT INTO sessions (session_token, user_identifier, expires_at) VALUES ('x', 'u', '2020-01-01');
          TRUNCATE notes`)
        await run('--run-now')
        const noted = await notes(test)
        for (const [note, count] of [
          ['audit_logs row before delete', 12],
          ['audit_logs row after delete', 12],
          ['sessions row after delete', 1],
        ] as const)
          assert.equal(noted.get(note), count, `${note}: ${JSON.stringify([...noted])}`)
        for (const note of [
          'maintenance_runs row after insert',
          'maintenance_runs statement after update',
          'maintenance_leases row after update',
          'maintenance_archives row after insert',
        ])
          assert.ok(noted.has(note), note)
        await run('archive', 'verify')
        await run('archive', 'restore')
      })
    }
  })
}
