import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { JOBS } from '../../src/catalogue.ts'
import type { PartitionState } from '../../src/database/partitioning.ts'
import { pageOf } from '../../src/http/page/page.ts'
import { openMetrics } from '../../src/observe/metrics.ts'
import { widthOf } from '../../src/observe/width.ts'
import { statusDocument } from '../../src/status/document.ts'
import { findingsOf } from '../../src/status/findings.ts'
import type { PartitionsStatus } from '../../src/status/partitions-status.ts'
import { statusWithout, type Status } from '../../src/status/read-status.ts'
import { statusText } from '../../src/terminal/status-text.ts'
import { DAY, HOUR, hostClock } from '../../src/time/clock.ts'
import { samplesOf } from '../support/exposition.ts'
import { convertedTable } from './made-up.ts'

const NOW = Date.parse('2026-12-01T09:00:00Z')
const JOB = JOBS[0]!

function status(changes: Partial<PartitionsStatus>): Status {
  const known = statusWithout({ engine: 'postgres', place: 'p', name: 'n' }, 'gone', {
    version: '1.2.3',
    scheduleTimeZone: 'UTC',
    clock: { ...hostClock(), now: () => NOW },
    jobs: JOBS.map((job) => ({ job, enabled: true, schedule: job.schedule, retentionMs: undefined, graceMs: 0 })),
    archive: { enabled: false, directory: '/nowhere', uid: 0, keptMs: undefined },
    partitionsEnabled: true,
  })
  return { ...known, database: { ...known.database, reachable: true, problem: undefined }, partitions: { ...known.partitions, ...changes } }
}

function of(state: PartitionState | undefined, enabled = true, problem?: string): Status {
  return status({ enabled, tables: [{ table: JOB.table, job: JOB.name, state, problem }] })
}

function told(shown: Status): readonly string[] {
  return findingsOf(shown).map(
    ({ level, code, sentence, action }) => `${level} ${code} ${sentence}${action === undefined ? '' : `: ${action}`}`,
  )
}

test('nothing needs a look where a table is plain, and where its partitions reach far enough', () => {
  assert.deepEqual(told(status({})), [])
  assert.deepEqual(told(of({ kind: 'plain' })), [])
  assert.deepEqual(told(of(convertedTable(NOW))), [])
  // A row without a time has no other place, and rows that a hold keeps may be moved there.
  assert.deepEqual(told(of(convertedTable(NOW, { unplaced: { rows: 1_000, more: false } }))), [])
  assert.deepEqual(told(of(convertedTable(NOW, { detached: [{ name: 'audit_logs_p20260901', since: NOW - HOUR }] }))), [])
})

test('partitions that run out are a fault from the third day on, whose advice depends on whether they are to be made', () => {
  assert.deepEqual(told(of(convertedTable(NOW, { coveredUntil: NOW + 3 * DAY }))), [])
  const [short] = told(of(convertedTable(NOW, { coveredUntil: NOW + 3 * DAY - 1 })))
  assert.equal(
    short,
    'fault partitions-running-out audit_logs has partitions for 3 d more: from 2026-12-04 08:59 UTC on its rows go to DEFAULT, and will be deleted by batches: ' +
      'see that a worker is running, and what its log says of partitions',
  )
  const [none] = told(of(convertedTable(NOW, { coveredUntil: NOW })))
  assert.match(String(none), /^fault partitions-running-out audit_logs has no partition for today: its rows go to DEFAULT/)
  const disabled = told(of(convertedTable(NOW, { coveredUntil: NOW }), false))
  assert.match(String(disabled[0]), /^fault partitions-running-out .* set PARTITIONS_ENABLED to true where workers run$/)
  assert.match(String(disabled[1]), /^advice partitions-disabled PARTITIONS_ENABLED is false, and audit_logs has partitions/)
})

test('what is not as it should be is told with what to do', () => {
  const table = (changes: Parameters<typeof convertedTable>[1]): readonly string[] => told(of(convertedTable(NOW, changes)))
  assert.deepEqual(table({ unplaced: { rows: 1_001, more: false } }), [
    'advice partitions-default-filled 1,001 rows of audit_logs are in its DEFAULT partition, because there was none for their day; they are read as ever, and go by batches when ' +
      'they have expired: if they become more, see that a worker makes partitions',
  ])
  assert.match(String(table({ unplaced: { rows: 1_000, more: true } })), /^advice partitions-default-filled more than 1,000 rows/)
  const since = (...days: readonly number[]): readonly string[] =>
    table({ detached: days.map((each) => ({ name: `audit_logs_p${each}`, since: NOW - each * DAY })) })
  assert.deepEqual(since(1), [])
  assert.match(
    String(since(2, 3)),
    /^advice partitions-detached 2 tables .* are still there, the oldest, audit_logs_p3, for 3 d: the next run drops them/,
  )
  assert.match(String(since(8)), /^fault partitions-detached 1 table .* is still there, the oldest, audit_logs_p8, for 8 d/)
  assert.deepEqual(table({ problems: ['GRANT it'] }), ['fault partitions-hindered GRANT it'])
  assert.deepEqual(told(of({ kind: 'foreign', reason: 'pg_partman has it' })), [
    'fault partitions-hindered no partition of audit_logs is made or dropped: pg_partman has it: partition plan says what can be done',
  ])
  assert.deepEqual(told(of(undefined, true, 'permission denied')), [
    'advice partitions-in-doubt the partitions of audit_logs are not known: permission denied',
  ])
  assert.deepEqual(told(status({ problem: 'permission denied' })), [
    'advice partitions-in-doubt whether a table has partitions is not known: permission denied',
  ])
})

test('a start that has not ended is a fault while it makes the table refuse rows, and otherwise advice, as is an undo', () => {
  const converting = (refusesFrom: number | undefined): readonly string[] => told(of({ kind: 'converting', since: NOW - DAY, refusesFrom }))
  assert.deepEqual(converting(NOW + 15 * HOUR), [
    'fault partitions-refusing partition start of audit_logs has not ended, and until it has, audit_logs refuses rows without a time, and from 2026-12-02 00:00 UTC on every row of the gateway: ' +
      'if it is not at work now, run partition start, which goes on, or partition undo, at once',
  ])
  assert.match(
    String(converting(undefined)),
    /^advice partitions-unfinished partition start of audit_logs began 2026-11-30 09:00 UTC .* run partition start, which goes on, or partition undo$/,
  )
  assert.match(
    String(told(of({ kind: 'undoing', since: NOW - DAY, isPartitioned: false, tables: 3 }))),
    /^advice partitions-unfinished partition undo .* rows are still in 3 tables beside it, and are seen in it: run partition undo, which goes on$/,
  )
})

function undoing(isPartitioned: boolean): string {
  return String(told(of({ kind: 'undoing', since: NOW - DAY, isPartitioned, tables: 0 })))
}

test('an undo that has just begun says so, and one that is about to end', () => {
  assert.match(
    undoing(true),
    /^advice partitions-unfinished .* has not ended: it still has its partitions: run partition undo, which goes on$/,
  )
  assert.match(
    undoing(false),
    /^advice partitions-unfinished .* has not ended: all rows are in it again, and only what is no longer needed is left to be dropped: run partition undo, which goes on$/,
  )
})

const STATES: Readonly<Record<string, PartitionState | undefined>> = {
  unknown: undefined,
  plain: { kind: 'plain' },
  foreign: {
    kind: 'foreign',
    reason: 'somebody else has made it partitions of a column that is called something long, <b>for example</b>',
  },
  converting: { kind: 'converting', since: NOW - DAY, refusesFrom: undefined },
  refusing: { kind: 'converting', since: NOW - DAY, refusesFrom: NOW + DAY },
  undoing: { kind: 'undoing', since: NOW - DAY, isPartitioned: false, tables: 17 },
  converted: convertedTable(NOW),
  'converted, with all that can be': convertedTable(NOW, {
    coveredUntil: NOW + 2.25 * DAY,
    unplaced: { rows: 10_000, more: true },
    detached: Array.from({ length: 14 }, (_, at) => ({ name: `audit_logs_p202609${10 + at}`, since: NOW - 9 * DAY })),
    first: { name: 'audit_logs_legacy', until: NOW - 18 * DAY },
    problems: ['the role may not. Run: GRANT …'],
    notes: ['DEFAULT has rows of 2026-11-29'],
  }),
}

const valid = new Ajv2020({ strict: true, strictTypes: false, allErrors: true }).compile(
  JSON.parse(await readFile(new URL('../../docs/status.schema.json', import.meta.url), 'utf8')) as object,
)

for (const [name, state] of Object.entries(STATES)) {
  test(`a table that is ${name}: its JSON is as the schema says, its text fits a terminal, its page escapes`, () => {
    const shown = of(state, true, state === undefined ? 'permission denied' : undefined)
    assert.ok(valid(JSON.parse(JSON.stringify(statusDocument(shown)))), JSON.stringify(valid.errors))
    for (const columns of [60, 80, 120])
      for (const line of statusText(shown, { control: false, unicode: true, columns }).split('\n'))
        assert.ok(widthOf(line) <= columns, `${columns}: ${line}`)
    const page = pageOf(shown)
    assert.match(page, /<h2 id="partitions">Partitions<\/h2>/)
    assert.doesNotMatch(page, /<b>for|undefined|NaN/)
  })
}

test('the terminal, the page and the JSON tell the same of partitions, and nothing where there are none', () => {
  const shown = of(STATES['converted, with all that can be'])
  const terminal = statusText(shown, { control: false, unicode: true, columns: 400 })
  const page = pageOf(shown)
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
  for (const [term, text] of [
    ['audit_logs', '33 partitions, since 2026-11-11 09:00 UTC'],
    ['ahead', '2 d 6 h, until 2026-12-03 15:00 UTC'],
    ['default', 'more than 10,000 rows'],
    ['first', 'audit_logs_legacy, with rows up to 2026-11-13 09:00 UTC'],
    ['note', 'DEFAULT has rows of 2026-11-29'],
  ] as const) {
    assert.match(terminal, new RegExp(`^  ${term} +${text}$`, 'm'))
    assert.ok(page.includes(`${term} ${text}`), `${term}: ${page.slice(page.indexOf('Partitions'))}`)
  }
  const [table] = statusDocument(shown).partitions.tables
  assert.deepEqual(
    [
      table?.state,
      table?.daysAhead,
      table?.defaultRows,
      table?.defaultRowsExact,
      table?.detached.length,
      table?.first?.until,
      table?.notes.length,
    ],
    ['converted', 2.25, 10_000, false, 14, '2026-11-13T09:00:00.000Z', 1],
  )
  assert.doesNotMatch(statusText(status({}), { control: false, unicode: true, columns: 80 }), /partition/)
  assert.doesNotMatch(pageOf(status({})), /artition/)
})

const PREFIX = 'mcp_maintenance_partitions_'

test('the metrics of partitions are there only where they say something, and go with the partitions', async () => {
  const metrics = openMetrics({ version: '1', jobs: [JOB.name], archiving: [], clock: { ...hostClock(), now: () => NOW } })
  const found = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      [...samplesOf(await metrics.text())].flatMap(([series, value]) => {
        const [, short] = /^mcp_maintenance_partitions_(\w+)\{job="purge-audit-logs"\}$/.exec(series) ?? []
        assert.ok(short !== undefined || !series.startsWith(PREFIX), series)
        return short === undefined ? [] : [[short, value]]
      }),
    )
  metrics.updateGauges(status({}))
  assert.deepEqual(await found(), {})
  const converted = {
    covered_until_timestamp_seconds: (NOW + 2.25 * DAY) / 1_000,
    default_rows: 10_001,
    detached: 14,
    enabled: 1,
  }
  metrics.updateGauges(of(STATES['converted, with all that can be']))
  assert.deepEqual(await found(), converted)
  // What is not known stays as it was.
  const gone = status({})
  for (const unknown of [
    of(undefined, true, 'denied'),
    status({ problem: 'denied' }),
    { ...gone, database: { ...gone.database, reachable: false } },
  ]) {
    metrics.updateGauges(unknown)
    assert.deepEqual(await found(), converted)
  }
  metrics.updateGauges(of(STATES['converted, with all that can be'], false))
  assert.deepEqual((await found())['enabled'], 0)
  metrics.updateGauges(of(STATES['refusing']))
  assert.deepEqual(await found(), { refusing_from_timestamp_seconds: (NOW + DAY) / 1_000 })
  metrics.updateGauges(of(STATES['converting']))
  assert.deepEqual(await found(), {})
  metrics.updateGauges(of(STATES['converted']))
  metrics.updateGauges(status({}))
  assert.deepEqual(await found(), {})
})
