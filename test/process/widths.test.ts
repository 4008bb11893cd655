import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { widthOf } from '../../src/observe/width.ts'
import { freshFolder, type Folder } from '../archive/support.ts'
import { auditLogs, expiredSessions } from '../runs/support.ts'
import { command } from '../support/command.ts'
import { ENGINES, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { onTerminal, WITHOUT_TERMINAL } from '../support/terminal.ts'

const COMMANDS = [
  '--help',
  'help archive',
  'config',
  'status',
  'doctor',
  'history',
  'migrate',
  'migrate --dry-run',
  'migrate --to 99',
  '--run-now --dry-run',
  '--run-now',
  '--run-now --quiet',
  'archive list',
  'archive verify',
  'archive verify --since 2999-01-01',
  'archive restore',
  'archive restore --into audit_logs',
  'archive reconcile --dry-run',
  'archive frobnicate the whole of it --job nothing --since yesterday',
]
/** The same each time, so that its words can be compared. */
const STEADY = ['--help', 'help archive', 'config', 'archive list', 'archive frobnicate the whole of it --job nothing --since yesterday']

async function wordsAt(line: string, columns: number, env: Readonly<Record<string, string>>): Promise<ReadonlySet<string>> {
  return new Set((await onTerminal(line.split(' '), { columns, env })).screen.join('\n').split(/\s+/))
}

/** Files in an archive, a run that was stopped, one that failed, and much that waits. */
describe('on a terminal', { skip: WITHOUT_TERMINAL }, () => {
  let database: TestDatabase
  let folder: Folder
  let env: Readonly<Record<string, string>>

  before(async () => {
    const [engine] = ENGINES
    database = await sqliteDatabase()
    folder = await freshFolder()
    env = { DATABASE_URL: database.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path }
    await command(['migrate'], { env })
    for (const days of [104, 103, 102]) await auditLogs(database, engine!, 30, days)
    await command(['--run-now'], { env })
    await auditLogs(database, engine!, 5_000, 40)
    const stopped = await command(['--run-now', '--job', 'purge-audit-logs'], { env: { ...env, AUDIT_LOGS_RETENTION: '30d' } })
    assert.equal(stopped.code, 5, stopped.stdout)
    await expiredSessions(database, engine!, 3_000)
    await database.sql('ALTER TABLE rate_limits RENAME COLUMN expires_at TO expires')
    const failed = await command(['--run-now', '--job', 'purge-rate-limits'], { env })
    assert.equal(failed.code, 1, failed.stdout)
  })
  after(async () => {
    await database[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  for (const line of COMMANDS)
    it(`no line of "${line}" is wider than it, at 60, 80 and 120 columns`, async () => {
      for (const columns of [60, 80, 120]) {
        const { sent } = await onTerminal(line.split(' '), { columns, env })
        // As it was sent, not as the terminal broke it. What is drawn again begins anew.
        // oxlint-disable-next-line no-control-regex
        const lines = sent.replaceAll(/\u001B\[\d*[A-Za-z]/g, '').split(/\r?\n/)
        for (const each of lines) assert.ok(widthOf(each) <= columns, `${widthOf(each)} in ${columns}: ${each}`)
      }
    })

  for (const line of STEADY)
    it(`no word of "${line}" is broken`, async () => {
      const whole = await wordsAt(line, 400, env)
      for (const columns of [60, 80, 120])
        assert.deepEqual(
          // A line below titles is as long as its column.
          [...(await wordsAt(line, columns, env))].filter((word) => !whole.has(word) && !/^─+$/.test(word)),
          [],
        )
    })

  it('history says below a run why it failed or stopped and what to do, whole', async () => {
    for (const columns of [60, 80, 120]) {
      const { screen } = await onTerminal(['history'], { columns, env })
      const text = screen.join(' ').replaceAll(/\s+/g, ' ')
      assert.match(
        text,
        /stopped 0 .*The retention of purge-audit-logs is 30d.* run --run-now --job purge-audit-logs --accept-shorter-retention once /,
      )
      assert.match(text, /failed 0 .*rate_limits has no column "expires_at".* Fix the table, or disable the job/)
    }
  })

  it('a safety stop is said once by the run, by the status and by the history', async () => {
    const stopping = { ...env, AUDIT_LOGS_RETENTION: '30d' }
    for (const line of ['--run-now --job purge-audit-logs', 'status'])
      assert.equal((await onTerminal(line.split(' '), { env: stopping })).sent.match(/--accept-shorter-retention/g)?.length, 1, line)
  })
})
