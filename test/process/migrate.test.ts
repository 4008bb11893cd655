import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { chmod, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeMigration } from '../../src/commands/migrate-new.ts'
import type { Start } from '../../src/program.ts'
import { command, events } from '../support/command.ts'
import { BOTH_ENGINES, ENGINES } from '../support/engines.ts'
import { checkoutCopy, NEXT_MIGRATION } from '../support/package-root.ts'

const LATEST = Number(NEXT_MIGRATION) - 1

for (const engine of ENGINES) {
  test(`${engine.name}: eight starters on one empty database apply each migration once`, async () => {
    await using database = await engine.fresh()
    const all = await Promise.all(Array.from({ length: 8 }, () => command(['--run-now'], { env: { DATABASE_URL: database.url } })))
    for (const each of all) assert.equal(each.code, 0, each.stdout + each.stderr)
    const ledger = await database.sql<{ version: number; n: number }>(
      'SELECT version, count(*) AS n FROM maintenance_migrations GROUP BY version',
    )
    const applied = all.flatMap((each) => events(each, 'migration.applied'))
    assert.ok(ledger.length > 0)
    assert.ok(ledger.every((row) => row.n === 1))
    assert.equal(applied.length, ledger.length)
  })
}

for (const engine of BOTH_ENGINES)
  test(`${engine.name}: migrate --to stops at a migration, goes on from there, and never goes back`, async () => {
    await using database = await engine.fresh()
    const env = { DATABASE_URL: database.url }

    const looked = await command(['migrate', '--to', '3', '--dry-run'], { env })
    assert.equal(looked.code, 0, looked.stdout)
    assert.match(looked.stdout, /003_\w+\.sql is pending and would be applied/)
    assert.doesNotMatch(looked.stdout, /004_/)

    const stopped = await command(['migrate', '--to', '003'], { env })
    assert.equal(stopped.code, 0, stopped.stdout)
    assert.deepEqual(
      events(stopped, 'migration.applied').map(({ version }) => version),
      [1, 2, 3],
    )
    assert.match(stopped.stdout, /stopped at 003, as --to asks: 004_\w+, .* stay pending/)

    const unknown = await command(['migrate', '--to', '99'], { env })
    assert.equal(unknown.code, 4)
    assert.match(
      unknown.stdout,
      new RegExp(`there is no migration 099 to stop at: this build has 001 to ${String(LATEST).padStart(3, '0')}`),
    )

    const rest = await command(['migrate'], { env })
    assert.deepEqual(
      events(rest, 'migration.applied').map(({ version }) => version),
      Array.from({ length: LATEST - 3 }, (_, at) => at + 4),
    )
    const back = await command(['migrate', '--to', '3'], { env })
    assert.equal(back.code, 4)
    assert.match(back.stdout, /the database is beyond 003: 004_\w+, .* were applied, and no migration is taken back/)
  })

for (const engine of BOTH_ENGINES)
  test(`${engine.name}: migrate where migrations are disabled applies nothing, and fails as long as one is pending`, async () => {
    await using database = await engine.fresh()
    const enabled = { DATABASE_URL: database.url }
    const disabled = { ...enabled, MIGRATIONS_ENABLED: 'false' }
    assert.equal((await command(['migrate', '--to', '4'], { env: enabled })).code, 0)

    const looked = await command(['migrate', '--dry-run'], { env: disabled })
    assert.equal(looked.code, 0, looked.stdout)
    assert.match(looked.stdout, /005_\w+\.sql is pending but would not be applied, because MIGRATIONS_ENABLED is false/)

    const refused = await command(['migrate'], { env: disabled })
    assert.equal(refused.code, 4, refused.stdout)
    assert.match(
      refused.stdout,
      /migrations are pending \(005_\w+, .*\), and MIGRATIONS_ENABLED is false\. Nothing was applied\..* Run: MIGRATIONS_ENABLED=true mcp-gateway-maintenance migrate"/,
    )
    const upTo = await command(['migrate', '--to', '5'], { env: disabled })
    assert.match(upTo.stdout, /1 migration is pending \(005_\w+\).* migrate --to 005"/)
    assert.equal((await command(['migrate', '--to', '4'], { env: disabled })).code, 0)

    const applied = await command(['migrate'], { env: enabled })
    assert.deepEqual(
      events(applied, 'migration.applied').map(({ version }) => version),
      Array.from({ length: LATEST - 4 }, (_, at) => at + 5),
    )
    const done = await command(['migrate'], { env: disabled })
    assert.equal(done.code, 0, done.stdout)
    assert.match(done.stdout, /migrations are disabled/)
  })

test('migrate new writes both files with the next number, and they can be applied and run by hand', async () => {
  await using program = await checkoutCopy()
  const { root: packageRoot } = program
  const made = await command(['migrate', 'new', 'add_things'], { packageRoot })
  assert.equal(made.code, 0, made.stderr)
  for (const [suffix, by] of [
    ['', 'psql -v ON_ERROR_STOP=1 -f'],
    ['_sqlite', 'sqlite3 -bail gateway.db <'],
  ] as const) {
    const name = `${NEXT_MIGRATION}_add_things${suffix}.sql`
    assert.match(made.stdout, new RegExp(`^made migrations/${name}$`, 'm'))
    const text = await readFile(join(packageRoot, 'migrations', name), 'utf8')
    assert.match(text, /^-- Add things, on /)
    assert.ok(text.includes(`--   ${by} ${name}\n`), text)
  }
  const applied = await command(['migrate'], { packageRoot, cwd: packageRoot })
  assert.equal(applied.code, 0, applied.stdout)
  assert.equal(events(applied, 'migration.applied').at(-1)?.['name'], 'add_things')
})

for (const [name, why] of [
  ['Add-Things', /is no name of a migration: write up to 100 lower-case letters, digits and _/],
  ['../add', /is no name of a migration/],
  ['add_things_sqlite', /is no name of a migration/],
  ['sqlite', /is no name of a migration/],
  ['a'.repeat(101), /is no name of a migration/],
  ['initial_schema', /there is a migration of that name already, 001_initial_schema/],
] as const)
  test(`migrate new refuses the name "${name.slice(0, 30)}", and writes nothing`, async () => {
    await using program = await checkoutCopy()
    const refused = await command(['migrate', 'new', name], { packageRoot: program.root })
    assert.equal(refused.code, 2, refused.stderr)
    assert.match(refused.stderr, why)
    assert.match(refused.stderr, /nothing was written/)
    assert.ok(!existsSync(join(program.root, 'migrations', `${NEXT_MIGRATION}_${name}.sql`)))
  })

/** Root writes into any folder. */
const AS_ROOT = process.getuid?.() === 0 ? 'root may write everywhere' : false

test('migrate new says so where the folder cannot be written to', { skip: AS_ROOT }, async () => {
  await using program = await checkoutCopy()
  const folder = join(program.root, 'migrations')
  await chmod(folder, 0o555)
  try {
    const refused = await command(['migrate', 'new', 'add_things'], { packageRoot: program.root })
    assert.equal(refused.code, 2, refused.stdout + refused.stderr)
    assert.match(refused.stderr, /migrations\/\d+_add_things\.sql cannot be written: .*; nothing was left behind/)
    assert.ok(!existsSync(join(folder, `${NEXT_MIGRATION}_add_things.sql`)))
  } finally {
    await chmod(folder, 0o755)
  }
})

test('migrate new writes nothing into an installed package', async () => {
  await using program = await checkoutCopy()
  // Without its source it is what a registry gives; what runs is this checkout's.
  await rename(join(program.root, 'src'), join(program.root, 'dist'))
  const host = { packageRoot: program.root, print: () => assert.fail('it said that something was made') }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else of what a command starts from is asked
  const start = { host } as unknown as Start
  await assert.rejects(
    writeMigration(start, 'add_things'),
    /this is an installed package, whose migrations come with it .* nothing was written/,
  )
  assert.ok(!existsSync(join(program.root, 'migrations', `${NEXT_MIGRATION}_add_things.sql`)))
})
