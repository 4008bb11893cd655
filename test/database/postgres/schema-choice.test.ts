import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DatabaseError } from '../../../src/database/database-error.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../../support/databases.ts'
import { listening, opened, type Opening } from './fixture.ts'

/** What is told when this database is opened, or why it is not. */
async function opening({ url }: Pick<FreshPostgres, 'url'>, options: Opening = {}): Promise<readonly string[]> {
  const { lines, listener } = listening()
  try {
    await using database = await opened(url, { ...options, listener })
    return [...lines, database.named('t')]
  } catch (error) {
    assert.ok(error instanceof DatabaseError)
    return [`${error.kind}: ${error.message}`]
  }
}

const NOBODY = { schema: undefined }
const TABLES = ['audit_logs', 'tools', 'sessions']

async function gatewayTables({ admin }: FreshPostgres, schema: string): Promise<void> {
  await admin.query(`CREATE SCHEMA IF NOT EXISTS "${schema}"`)
  for (const table of TABLES) await admin.query(`CREATE TABLE "${schema}".${table} (id int)`)
}

for (const major of POSTGRES_MAJORS) {
  describe(`the schema on PostgreSQL ${major}`, () => {
    const ways: Readonly<Record<string, (fresh: FreshPostgres, schema: string) => Promise<{ readonly url: string }>>> = {
      'ALTER ROLE … SET search_path': async (fresh, schema) => {
        await fresh.admin.query(`CREATE ROLE ${fresh.name} LOGIN`)
        await fresh.admin.query(`ALTER ROLE ${fresh.name} SET search_path = "${schema}", public`)
        await fresh.admin.query(`GRANT USAGE ON SCHEMA "${schema}" TO ${fresh.name}`)
        return { url: Object.assign(new URL(fresh.url), { username: fresh.name }).href }
      },
      'ALTER DATABASE … SET search_path': async (fresh, schema) => {
        await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET search_path = "${schema}"`)
        return fresh
      },
      'ALTER ROLE … IN DATABASE': async (fresh, schema) => {
        await fresh.admin.query(`ALTER ROLE postgres IN DATABASE ${fresh.name} SET search_path = public, "${schema}"`)
        return fresh
      },
    }
    for (const [way, lead] of Object.entries(ways)) {
      it(`the schema is not guessed if ${way} leads to the gateway's tables elsewhere: it is refused by name before anything is created`, async () => {
        await using fresh = await freshPostgres(major)
        await gatewayTables(fresh, 'Gate way.1')
        const led = await lead(fresh, 'Gate way.1')
        try {
          const [told = ''] = await opening(led, NOBODY)
          assert.match(
            told,
            /^refused: The gateway's tables \(audit_logs, tools\) are in schema Gate way\.1 of .*Nothing was changed\. Set DATABASE_SCHEMA=Gate way\.1/,
          )
          assert.deepEqual(await opening(led, { ...NOBODY, access: 'read' }), [told])
          assert.deepEqual(await opening(led, { schema: 'Gate way.1' }), ['"Gate way.1"."t"'])
          const [warning = '', ...rest] = await opening(led, { schema: 'public' })
          assert.match(
            warning,
            /^warning the search_path of role \w+ leads to .* in schema Gate way\.1 \(audit_logs, tools\), which are left alone: DATABASE_SCHEMA is public$/,
          )
          assert.deepEqual(rest, ['"public"."t"'])
        } finally {
          if (way === 'ALTER ROLE … SET search_path') {
            await fresh.admin.query(`DROP SCHEMA IF EXISTS "Gate way.1" CASCADE`)
            await fresh.admin.query(`DROP ROLE ${fresh.name}`)
          }
        }
      })
    }

    it('the schema is not guessed if the role has a schema of its own name', async () => {
      await using fresh = await freshPostgres(major)
      await gatewayTables(fresh, 'postgres')
      const [told = ''] = await opening(fresh, NOBODY)
      assert.match(told, /^refused: .* are in schema postgres /)
      assert.deepEqual(await opening(fresh, { schema: 'postgres' }), ['"postgres"."t"'])
    })

    it('the schema is public if the gateway’s tables are there, or nowhere, or in a schema outside the path', async () => {
      await using fresh = await freshPostgres(major)
      assert.deepEqual(await opening(fresh, NOBODY), ['"public"."t"'])
      await gatewayTables(fresh, 'elsewhere')
      const [outside = '', ...rest] = await opening(fresh, NOBODY)
      assert.match(
        outside,
        /^warning schema public is used and has no audit_logs yet, but schema elsewhere \(audit_logs, tools\), outside the search_path, .* set DATABASE_SCHEMA$/,
      )
      assert.deepEqual(rest, ['"public"."t"'])
      assert.deepEqual(await opening(fresh, { schema: 'public' }), ['"public"."t"'])
      await gatewayTables(fresh, 'public')
      assert.deepEqual(await opening(fresh, NOBODY), ['"public"."t"'])
      // Another program's.
      await fresh.admin.query('CREATE SCHEMA postgres; CREATE TABLE postgres.sessions (id int)')
      assert.deepEqual(await opening(fresh, NOBODY), ['"public"."t"'])
      await fresh.admin.query('CREATE TABLE postgres.tools (id int)')
      const [warning = '', name] = await opening(fresh, NOBODY)
      assert.match(
        warning,
        /in schema postgres \(tools\), which are left alone: public has such tables too; .* set DATABASE_SCHEMA=postgres$/,
      )
      assert.equal(name, '"public"."t"')
    })

    it('the schema is not public if the path leads to the gateway’s tables in another schema first, and to public’s after it', async () => {
      await using fresh = await freshPostgres(major)
      await gatewayTables(fresh, 'public')
      for (const table of ['audit_logs', 'policy_decisions']) {
        await fresh.admin.query(`CREATE SCHEMA gw; CREATE TABLE gw.${table} (id int)`)
        await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET search_path = gw, public`)
        const [told = '', ...rest] = await opening(fresh, NOBODY)
        assert.match(
          told,
          new RegExp(
            `^refused: The gateway's tables \\(${table}\\) are in schema gw of .* finds them first, but public has tables of these names too ` +
              `\\(audit_logs, tools\\)\\. Nothing was changed\\. Set DATABASE_SCHEMA=gw, or DATABASE_SCHEMA=public if those in gw`,
          ),
        )
        assert.deepEqual(rest, [])
        assert.deepEqual(await opening(fresh, { ...NOBODY, access: 'read' }), [told])
        assert.match((await opening(fresh, { schema: 'gw' }))[0]!, /^warning .* in schema public/)
        assert.equal((await opening(fresh, { schema: 'public' })).at(-1), '"public"."t"')
        await fresh.admin.query('DROP SCHEMA gw CASCADE')
      }
      await fresh.admin.query(`CREATE SCHEMA gw; CREATE TABLE gw.audit_logs (id int)`)
      await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET search_path = public, gw`)
      assert.match((await opening(fresh, NOBODY))[0]!, /^warning .* in schema gw \(audit_logs\), which are left alone: public has/)
    })

    it('the schema is not public if that holds another program’s table of such a name, and the path leads to the gateway’s', async () => {
      await using fresh = await freshPostgres(major)
      await fresh.admin.query('CREATE TABLE public.tools (id int)')
      await gatewayTables(fresh, 'gw')
      const [outside = '', name] = await opening(fresh, NOBODY)
      assert.match(outside, /^warning schema public is used and has no audit_logs yet, but schema gw \(audit_logs, tools\)/)
      assert.equal(name, '"public"."t"')
      for (const path of ['gw, public', 'public, gw', 'gw']) {
        await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET search_path = ${path}`)
        assert.match((await opening(fresh, NOBODY))[0]!, /^refused: .* are in schema gw .*Set DATABASE_SCHEMA=gw/, path)
      }
    })

    it('a template database is refused, and the maintenance database is treated like any other', async () => {
      await using fresh = await freshPostgres(major)
      const template = { url: Object.assign(new URL(fresh.url), { pathname: '/template1' }).href }
      for (const options of [NOBODY, { schema: 'public' }, { ...NOBODY, access: 'read' }] as const)
        assert.match(
          (await opening(template, options))[0]!,
          /^refused: .*\/template1 is a template database, .*Nothing was changed\. Name the gateway's database/,
        )
      await fresh.admin.query(`ALTER DATABASE ${fresh.name} IS_TEMPLATE true`)
      try {
        assert.match((await opening(fresh, NOBODY))[0]!, /^refused: .* is a template database/)
      } finally {
        await fresh.admin.query(`ALTER DATABASE ${fresh.name} IS_TEMPLATE false`)
      }
      const maintenance = { url: Object.assign(new URL(fresh.url), { pathname: '/postgres' }).href }
      assert.equal((await opening(maintenance, { ...NOBODY, access: 'read' })).at(-1), '"public"."t"')
    })

    it('the schema is determined without a function or operator that a schema could define', async () => {
      await using fresh = await freshPostgres(major)
      await gatewayTables(fresh, 'postgres')
      await fresh.admin.query(`ALTER DATABASE ${fresh.name} SET search_path = postgres, public, pg_catalog`)
      await fresh.admin.query(`CREATE FUNCTION postgres.has_schema_privilege(oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'`)
      await fresh.admin.query(`CREATE FUNCTION postgres.lies(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT false'`)
      await fresh.admin.query(`CREATE OPERATOR postgres.= (leftarg = name, rightarg = name, procedure = postgres.lies)`)
      assert.match((await opening(fresh, NOBODY))[0]!, /^refused: .* are in schema postgres /)
    })
  })
}
