import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { JOBS } from '../../src/catalogue.ts'
import { freshFolder } from '../archive/support.ts'
import { DAY } from '../../src/time/clock.ts'
import { pastRuns } from '../status/past-runs.ts'
import { auditLogs, expiredSessions } from '../runs/support.ts'
import { command } from '../support/command.ts'
import { BOTH_ENGINES, ENGINES, sqliteDatabase, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { onTerminal, WITHOUT_TERMINAL, type Shown, type TerminalOptions } from '../support/terminal.ts'

// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0009\u000B-\u001F\u007F]/
// oxlint-disable-next-line no-control-regex
const BEYOND_ASCII = /[^\u0000-\u007F]/

const AT = { skip: WITHOUT_TERMINAL }

async function filled(engine: TestEngine, rows = 3_000): Promise<TestDatabase> {
  const database = await engine.fresh()
  await command(['migrate'], { env: { DATABASE_URL: database.url } })
  await auditLogs(database, engine, rows, 95)
  await auditLogs(database, engine, 1_000, 1)
  await expiredSessions(database, engine, 20)
  return database
}

function show(database: TestDatabase, line: string, { env, ...options }: TerminalOptions = {}): Promise<Shown> {
  return onTerminal(line.split(' '), { ...options, env: { DATABASE_URL: database.url, ...env } })
}

/** Without the carriage returns that the terminal's driver puts before line feeds. */
function plain({ sent }: Shown): string {
  return sent.replaceAll('\r\n', '\n')
}

for (const engine of BOTH_ENGINES) {
  describe(`--run-now on a terminal, with ${engine.name}`, AT, () => {
    for (const columns of [40, 80, 120]) {
      it(`shows a bar for each job and a table, in ${columns} columns`, async () => {
        await using database = await filled(engine)
        const { code, screen, sent } = await show(database, '--run-now', { columns })
        assert.equal(code, 0, sent)
        const text = screen.join('\n')
        assert.ok(
          screen.every((line) => line.length <= columns),
          text,
        )
        const bars = screen.filter((line) => /^purge-\S+ +█* *\d[\d,]* deleted/.test(line))
        assert.equal(bars.length, JOBS.length, text)
        assert.match(bars[0]!, /^purge-audit-logs .* 3,000 deleted/)
        assert.match(bars[2]!, /^purge-sessions .* 20 deleted/)
        if (columns >= 80) {
          assert.match(bars[0]!, /█/)
          assert.match(text, /^job +cutoff \(UTC\) +deleted +kept +took +outcome$/m)
          assert.match(text, /^purge-audit-logs +\d{4}-\d\d-\d\d \d\d:\d\d +3,000 +0 +[\d.]+ m?s +succeeded$/m)
        } else assert.match(text, /^job +deleted +outcome\n[^]*^purge-policy\S*… +0 +succeeded$/m)
      })
    }

    it('shows what was archived, also in 80 columns', async () => {
      await using database = await filled(engine)
      await using folder = await freshFolder()
      const env = { ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path }
      const { code, screen } = await show(database, '--run-now', { env, columns: 80 })
      const text = screen.join('\n')
      assert.equal(code, 0, text)
      assert.match(text, /^job +cutoff \(UTC\) +deleted +archived +kept +outcome$/m)
      assert.match(text, /^purge-audit-logs +\S+ \S+ +3,000 +3,000 +0 +succeeded$/m)
    })

    it('names pending migrations and what became of them', async () => {
      await using database = await engine.fresh()
      const { screen } = await show(database, '--run-now')
      assert.match(screen.join(''), /\d migrations are pending: 001_initial_schema, 002_add_metrics/)
      assert.ok(screen.some((line) => /^applied migration 001_initial_schema in \d/.test(line)))
    })

    it('prints warnings above the bars, and why a job failed below the table, once', async () => {
      await using database = await filled(engine)
      await database.sql(`ALTER TABLE sessions RENAME COLUMN expires_at TO expires`)
      const unreadable = engine.name === 'sqlite' ? "'soon'" : "'-infinity'"
      await database.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'invoke', 'success', ${unreadable})`,
      )
      const { code, screen } = await show(database, '--run-now', { env: { MIGRATIONS_ENABLED: 'false' } })
      const text = screen.join('\n')
      assert.equal(code, 1, text)
      const first = (pattern: RegExp): number => screen.findIndex((line) => pattern.test(line))
      const bar = first(/^purge-audit-logs .* deleted/)
      assert.ok(first(/ WARN: 1 row of audit_logs is kept/) < bar && bar > 0, text)
      assert.match(text, /^purge-sessions .* 0 deleted, failed/m)
      assert.match(text, /^purge-audit-logs kept 1 whose time cannot be read$/m)
      const spoken = screen.join(' ').replaceAll(/\s+/g, ' ')
      assert.match(spoken, / outcome .* purge-sessions: .*no column "expires_at"/)
      assert.equal(spoken.match(/no column "expires_at"/g)?.length, 1, text)
    })

    it('of a dry run is what would be deleted, by day', async () => {
      await using database = await filled(engine)
      const { code, screen } = await show(database, '--run-now --dry-run')
      const text = screen.join('\n')
      assert.equal(code, 0, text)
      assert.match(text, /^job .* would delete +kept +took +outcome$/m)
      assert.match(text, /^purge-audit-logs +\S+ \S+ +3,000 +0 /m)
      const days = screen.flatMap((line) => /^\d{4}-\d\d-\d\d +([\d,]+) {2}▇+$/.exec(line)?.[1] ?? [])
      assert.ok(days.length === 3 || days.length === 4, text)
      assert.equal(
        days.reduce((sum, rows) => sum + Number(rows.replaceAll(',', '')), 0),
        3_000,
      )
    })
  })
}

describe('--run-now on a terminal', AT, () => {
  const engine = ENGINES[0]!
  const refusals: readonly (readonly [name: string, words: string, env: Readonly<Record<string, string>>])[] = [
    ['NO_COLOR', '--run-now', { NO_COLOR: '1' }],
    ['CI', '--run-now', { CI: 'true' }],
    ['TERM=dumb', '--run-now', { TERM: 'dumb' }],
    ['--quiet', '--run-now --quiet', {}],
    ['NO_COLOR, in a dry run', '--run-now --dry-run', { NO_COLOR: '1' }],
  ]
  for (const [name, words, env] of refusals) {
    it(`sends no control characters with ${name}`, async () => {
      await using database = await filled(engine)
      const shown = await show(database, words, { env })
      assert.equal(shown.code, 0)
      assert.doesNotMatch(plain(shown), CONTROL)
      if (name === '--quiet') assert.match(plain(shown), /^\[.*\] INFO: purge-sessions: 20 rows deleted$/m)
      else assert.match(plain(shown), /^job +cutoff/m)
    })
  }

  it('sends nothing beyond ASCII where the locale is not UTF-8', async () => {
    await using database = await filled(engine)
    const shown = await show(database, '--run-now --dry-run', { env: { LANG: 'C' } })
    assert.doesNotMatch(shown.sent, BEYOND_ASCII)
    assert.match(shown.screen.join('\n'), /^\d{4}-\d\d-\d\d +[\d,]+ {2}#+$/m)
  })

  it('leaves the terminal to a log that is asked for as JSON', async () => {
    await using database = await filled(engine)
    const shown = await show(database, '--run-now', { env: { LOG_FORMAT: 'json' } })
    const lines = plain(shown).trim().split('\n')
    assert.equal(
      lines.map((line) => JSON.parse(line) as { event: string }).filter(({ event }) => event === 'job.finished').length,
      JOBS.length,
    )
  })

  it('ends in order at Ctrl-C, with what was done until then', async () => {
    await using database = await filled(engine, 200_000)
    const { code, screen, sent } = await show(database, '--run-now', {
      type: { after: /purge-audit-logs.* rows {2}.*\/s/, keys: '\u0003' },
    })
    const text = screen.join('\n')
    assert.equal(code, 130, text)
    // A bar would have an end that nobody has counted.
    assert.match(sent, /purge-audit-logs +[\d,]+ of more than 100,000 rows/)
    assert.doesNotMatch(sent, /purge-audit-logs +█*░+ +\d+%/)
    assert.match(text, /^purge-audit-logs .* interrupted$/m)
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(sent, /\u001B\[\?/)
  })

  it('gives status its titles in bold, and none of that with NO_COLOR', async () => {
    await using database = await sqliteDatabase()
    const bold = await show(database, 'status')
    // oxlint-disable-next-line no-control-regex
    assert.match(bold.sent, /\u001B\[1mpurge-sessions\u001B\[22m/)
    assert.ok(bold.screen.every((line) => line.length <= 80))
    assert.doesNotMatch(plain(await show(database, 'status', { env: { NO_COLOR: '1' } })), CONTROL)
  })
})

const CHARTS = /expired rows that wait|rows deleted a day|by day/
/** Days are compared where there are two of them. */
const A_DAY_AGO = { job: 'purge-audit-logs', startedAt: Date.now() - DAY, deleted: 1_000 }
const BLOCKS = /[\u2581-\u2590]/

for (const engine of BOTH_ENGINES) {
  describe(`charts, with ${engine.name}`, AT, () => {
    for (const columns of [50, 80, 120]) {
      it(`of what waits and of what was deleted fit in ${columns} columns`, async () => {
        await using database = await filled(engine)
        const before = await show(database, 'status', { columns })
        const waiting = before.screen.slice(before.screen.indexOf('expired rows that wait') + 1).filter((line) => line !== '')
        assert.equal(waiting.length, JOBS.length, before.screen.join('\n'))
        assert.match(waiting[0]!, /^purge-audit-logs +3,000 {2}▇+$/)
        assert.match(waiting[1]!, /^purge-policy-decisions +0$/)
        assert.match(waiting[2]!, /^purge-sessions +20 {2}▇$/)
        assert.ok(waiting[0]!.length > columns / 2 && waiting[0]!.length <= columns)

        await pastRuns(database, [A_DAY_AGO])
        await show(database, '--run-now', { columns })
        assert.doesNotMatch((await show(database, 'status', { columns })).sent, CHARTS)
        const { screen } = await show(database, 'history', { columns })
        assert.match(screen[3]!, /^\d{4}-\d\d-\d\d \d\d:\d\d {2}purge-audit.* succeeded +3,000/)
        const chart = screen.slice(screen.findIndex((line) => line.startsWith('rows deleted a day')))
        const text = screen.join('\n')
        assert.match(chart[1] ?? '', /^purge-audit-logs {2}4,000 rows/, text)
        assert.match(chart[2] ?? '', /^3,000 │ *█+ ?$/, text)
        assert.ok(chart.includes('purge-policy-decisions  nothing'), text)
        assert.ok(
          screen.every((line) => line.length <= columns),
          text,
        )
      })
    }
  })
}

describe('charts', AT, () => {
  const engine = ENGINES[0]!
  const drawing = ['status', '--run-now --dry-run', 'history']

  for (const [name, env] of [
    ['NO_COLOR', { NO_COLOR: '1' }],
    ['a locale that is not UTF-8', { LANG: 'C' }],
  ] as const) {
    it(`are of plain characters with ${name}`, async () => {
      await using database = await filled(engine)
      await command(['--run-now', '--job', 'purge-sessions'], { env: { DATABASE_URL: database.url } })
      await pastRuns(database, [{ ...A_DAY_AGO, job: 'purge-sessions' }])
      await expiredSessions(database, engine, 20)
      for (const form of drawing) {
        const { sent } = await show(database, form, { env })
        assert.match(sent, CHARTS)
        assert.match(sent, /##/)
        assert.doesNotMatch(sent, BLOCKS)
      }
    })
  }

  it('are not drawn where the output is no terminal, nor in JSON on one', async () => {
    await using database = await filled(engine)
    for (const form of [...drawing, '--run-now']) {
      const { code, stdout } = await command(form.split(' '), {
        env: { DATABASE_URL: database.url, LANG: 'C.UTF-8', TERM: 'xterm-256color' },
      })
      assert.equal(code, 0)
      assert.doesNotMatch(stdout, CHARTS)
      assert.doesNotMatch(stdout, BLOCKS)
      assert.doesNotMatch(stdout, CONTROL)
    }
    for (const form of ['status --json', 'history --json']) JSON.parse((await show(database, form)).sent)
  })
})
