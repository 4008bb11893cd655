import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { MaintenanceError } from '../../src/errors.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'
import { initialSchema, migrated } from './support.ts'

const initial = await initialSchema()
const FUNCTION = `CREATE FUNCTION public.mcp_gateway_set_updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`

/** Runs as a role of its own, which goes with what it has. */
async function asStranger({ admin }: FreshPostgres, work: (role: string) => Promise<void>): Promise<void> {
  const role = `stranger_${randomBytes(4).toString('hex')}`
  await admin.query(`CREATE ROLE ${role}; GRANT CREATE, USAGE ON SCHEMA public TO ${role}`)
  try {
    await work(role)
  } finally {
    await admin.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`)
  }
}

for (const major of POSTGRES_MAJORS) {
  describe(`the trigger function of 001 on PostgreSQL ${major}`, () => {
    it('a trigger function of a role that owns nothing here is refused: it would run with the rights of any role that updates the gateway’s tables', async () => {
      await using test = await freshPostgres(major)
      await asStranger(test, async (role) => {
        await test.admin.query(`SET ROLE ${role}; ${FUNCTION}; RESET ROLE`)
        await assert.rejects(migrated(test.url, initial), (error) => {
          assert.ok(error instanceof MaintenanceError)
          assert.equal(error.exitCode, 4)
          assert.match(error.message, new RegExp(`mcp_gateway_set_updated_at\\(\\) belongs to role ${role}.*\\[P0001\\]`))
          return true
        })
        const { rows } = await test.admin.query(`SELECT FROM pg_class WHERE relname = 'tools'`)
        assert.equal(rows.length, 0)
      })
    })

    it('a trigger function of the role that owns the gateway’s tables is accepted', async () => {
      await using test = await freshPostgres(major)
      await asStranger(test, async (role) => {
        await test.admin.query(`SET ROLE ${role}; ${FUNCTION}; RESET ROLE`)
        await test.admin.query(`
          CREATE TABLE tools (id bigint PRIMARY KEY, name text, version text, description text, path text, permissions text, parameters text, environment text,
            timeout integer, is_active boolean, created_at timestamp, updated_at timestamp);
          ALTER TABLE tools OWNER TO ${role}`)
        await migrated(test.url, initial)
        const { rows } = await test.admin.query(`SELECT tgname FROM pg_trigger WHERE tgrelid = 'tools'::regclass AND NOT tgisinternal`)
        assert.deepEqual(rows, [{ tgname: 'update_tools_updated_at' }])
      })
    })
  })
}
