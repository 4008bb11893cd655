import assert from 'node:assert/strict'
import { test } from 'node:test'
import { command, type Ended } from '../support/command.ts'
import { BOTH_ENGINES, ENGINES, type TestDatabase } from '../support/engines.ts'
import { megabytesIn, TELLS_MEMORY } from './peak-memory.ts'
import { freshFolder } from './support.ts'
import { settingsIn } from './where.ts'

type Engine = (typeof ENGINES)[number]

/** Far more than any command needs, and far less than one of the texts below would take. */
const MOST_MEGABYTES = 220
const LONG_BYTES = 32 * 2 ** 20

const RUN = ['--run-now', '--job', 'purge-audit-logs']

interface Worked extends AsyncDisposable {
  readonly outside: TestDatabase
  command(words: readonly string[]): Promise<Ended & { readonly megabytes: number }>
}

/** A database with one archived row and an expired one that waits. */
async function archived(engine: Engine): Promise<Worked> {
  const outside = await engine.fresh()
  const folder = await freshFolder()
  const env = { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ...settingsIn(folder.path), NODE_OPTIONS: TELLS_MEMORY }
  const row = (time: string): Promise<unknown> =>
    outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'a', 's', '${time}')`)
  assert.equal((await command(['migrate'], { env })).code, 0)
  await row('2020-01-02 03:04:05')
  const run = await command([...RUN, '--accept-empty-table'], { env })
  assert.equal(run.code, 0, run.stdout)
  await row('2020-01-03 03:04:05')
  return {
    outside,
    async command(words) {
      const ended = await command(words, { env })
      return { ...ended, megabytes: megabytesIn(ended.stderr) }
    },
    async [Symbol.asyncDispose]() {
      await outside[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** SQL: a text of so many bytes. */
function longText({ name }: Engine, unit: string, bytes = LONG_BYTES): string {
  const times = bytes / unit.length
  return name === 'sqlite' ? `replace(hex(zeroblob(${times})), '00', '${unit}')` : `repeat('${unit}', ${times})`
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: history and status report a maintenance_runs.error of 32 MiB as too long, in bounded memory`, async () => {
    await using worked = await archived(engine)
    await worked.outside.sql(`UPDATE maintenance_runs SET error = ${longText(engine, 'ee')}, worker = ${longText(engine, 'ww')}`)
    for (let more = 0; more < 5; more++) {
      await worked.outside.sql(
        `INSERT INTO maintenance_runs (job, outcome, "trigger", worker, version, started_at, finished_at, error)
         SELECT job, outcome, "trigger", 'host:1', version, started_at, finished_at, error FROM maintenance_runs ORDER BY id LIMIT 1`,
      )
    }
    for (const words of [['history', '--json'], ['status']]) {
      const { code, stdout, megabytes } = await worked.command(words)
      assert.equal(code, 0, stdout)
      assert.ok(megabytes < MOST_MEGABYTES, `${words.join(' ')}: ${megabytes} MB`)
      assert.ok(stdout.length < 50_000)
      if (words[0] === 'history') assert.match(stdout, /not read: longer than 2000 characters/)
    }
    const error = '🔒'.repeat(1_000)
    await worked.outside.sql(`UPDATE maintenance_runs SET error = '${error}', worker = 'host:1'`)
    assert.ok((await worked.command(['history', '--json'])).stdout.includes(`"${error}"`))
  })

  test(`${engine.name}: status, history and the next run take no memory for 32 MiB in any text of a run`, async () => {
    await using worked = await archived(engine)
    // PostgreSQL's index keeps long values out of `job`.
    for (const column of [...(engine.name === 'sqlite' ? ['job'] : []), 'outcome', 'trigger', 'version']) {
      await worked.outside.sql(
        `INSERT INTO maintenance_runs (job, outcome, "trigger", worker, version, started_at, finished_at)
         SELECT job, outcome, "trigger", worker, version, started_at, finished_at FROM maintenance_runs ORDER BY id LIMIT 1`,
      )
      await worked.outside.sql(
        `UPDATE maintenance_runs SET "${column}" = ${longText(engine, 'ee')} WHERE id = (SELECT max(id) FROM maintenance_runs)`,
      )
    }
    for (const words of [['status', '--json'], ['history', '--json'], RUN]) {
      const { code, stdout, megabytes } = await worked.command(words)
      assert.equal(code, 0, stdout)
      assert.ok(megabytes < MOST_MEGABYTES, `${words.join(' ')}: ${megabytes} MB`)
      assert.ok(stdout.length < 50_000)
    }
  })

  test(`${engine.name}: a migration whose recorded name or checksum is 32 MiB long is refused in a short sentence and in bounded memory`, async () => {
    await using worked = await archived(engine)
    for (const [column, says] of [
      ['checksum', /001_initial_schema\w*\.sql was changed after it was applied on .* by version \S+\. Restore the file/],
      ['name', /Migration 001_\(not read: longer than 2000 characters\) was applied on .*, but its file is missing/],
      ['app_version', undefined],
    ] as const) {
      const [before] = await worked.outside.sql<Record<string, string>>(`SELECT ${column} FROM maintenance_migrations WHERE version = 1`)
      await worked.outside.sql(`UPDATE maintenance_migrations SET ${column} = ${longText(engine, 'ee')} WHERE version = 1`)
      for (const words of [['status'], RUN]) {
        const { code, stdout, megabytes } = await worked.command(words)
        assert.equal(code, says === undefined || words !== RUN ? 0 : 4, stdout)
        if (says !== undefined) assert.match(stdout.replaceAll(/\s+/g, ' '), says)
        assert.ok(stdout.length < 10_000)
        assert.ok(megabytes < MOST_MEGABYTES, `${column}, ${words.join(' ')}: ${megabytes} MB`)
      }
      await worked.outside.sql(`UPDATE maintenance_migrations SET ${column} = $1 WHERE version = 1`, [before![column]!])
    }
  })

  test(`${engine.name}: a run and status report 32 MiB in a text of maintenance_archives as damage, in bounded memory`, async () => {
    await using worked = await archived(engine)
    for (const [column, unit, words] of [
      ['removed', '1,', RUN],
      ['step', '1,', RUN],
      ['step', '1,', ['status']],
      ['head_file', 'x', ['status']],
    ] as const) {
      await worked.outside.sql(
        `UPDATE maintenance_archives SET ${column} = ${column === 'step' ? `'[' || ${longText(engine, unit)} || '1]'` : longText(engine, unit)}`,
      )
      const { code, stdout, megabytes } = await worked.command(words)
      assert.equal(code, words === RUN ? 1 : 0, stdout)
      assert.match(stdout.replaceAll(/\s+/g, ' '), new RegExp(`maintenance_archives\\.${column} is longer than the \\d+ bytes`))
      if (words === RUN) assert.match(stdout, /ARCHIVE_DAMAGED/)
      assert.ok(megabytes < MOST_MEGABYTES, `${column}: ${megabytes} MB`)
    }
    assert.equal((await worked.outside.sql('SELECT id FROM audit_logs')).length, 1)
  })

  test(`${engine.name}: an impossible number in the worker's tables is reported by status, and fails a run before it deletes anything`, async () => {
    await using worked = await archived(engine)
    const text = engine.name === 'sqlite' ? "'abc'" : '9000000000000001'
    await worked.outside.sql(`UPDATE maintenance_archives SET newest_at = 9000000000000000`)
    await worked.outside.sql(`UPDATE maintenance_runs SET finished_at = ${text}`)
    const status = await worked.command(['status'])
    assert.equal(status.code, 0, status.stdout + status.stderr)
    assert.match(status.stdout.replaceAll(/\s+/g, ' '), /maintenance_archives\.newest_at holds 9000000000000000,/)
    assert.match(status.stdout.replaceAll(/\s+/g, ' '), new RegExp(`maintenance_runs\\.finished_at holds ${text.replaceAll("'", '"')},`))
    const history = await worked.command(['history'])
    assert.equal(history.code, 1)
    assert.match(history.stdout + history.stderr, /maintenance_runs\.finished_at holds/)
    await worked.outside.sql(`UPDATE maintenance_archive_retention SET complete_from = 9000000000000000`)
    const run = await worked.command(RUN)
    assert.equal(run.code, 1, run.stdout)
    assert.match(run.stdout, /maintenance_archive\w*\.(?:complete_from|newest_at) holds 9000000000000000,/)
    assert.equal((await worked.outside.sql('SELECT id FROM audit_logs')).length, 1)
  })
}
