import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lineJudge } from '../../src/archive/read/spared-lines.ts'
import { allInstantsIn } from '../../src/database/sqlite/times.ts'
import type { Match } from '../../src/policy/match.ts'
import { DAY } from '../../src/time/clock.ts'
import { auditLogs, migrated, opened, run, AUDIT_LOGS } from '../runs/support.ts'
import { BOTH_ENGINES, type TestDatabase } from '../support/engines.ts'
import { placed } from './placed-holds.ts'
import { freshFolder, idsOf, purged, restored } from './support.ts'

const COLUMNS = ['id', 'user', 'tool_name', 'timestamp']

interface Range {
  readonly from?: string
  readonly to?: string
}

function isSpared(line: string, match: Match, { from, to }: Range = {}, inDoubt = true, columns = COLUMNS): boolean {
  const spared = { match, from: from === undefined ? undefined : Date.parse(from), until: to === undefined ? undefined : Date.parse(to) }
  const instantsOf = allInstantsIn('Europe/Berlin')
  return lineJudge([spared], { columns, timeColumn: 'timestamp', instantsOf, inDoubt })(Buffer.from(line))[0]!
}

function userLine(user: unknown): string {
  return JSON.stringify({ id: 1, user, tool_name: 't', timestamp: '2025-06-01 00:00:00' })
}

test('values are compared without ASCII case, a trailing * is a prefix, and NULL matches nothing', () => {
  for (const [value, pattern, expected] of [
    ['Alice', 'aLICE', true],
    ['alice2', 'alice', false],
    ['alice2', 'ALICE*', true],
    ['É', 'é', false],
    [null, '*', false],
    ['', '*', true],
    ['a*b', 'a*b', true],
  ] as const)
    assert.equal(isSpared(userLine(value), { user: [pattern] }), expected, `${value} ${pattern}`)
})

test('bytes, text that is not UTF-8, integers and booleans are compared as the text that the database makes of them', () => {
  const big = '{"id":1,"user":9007199254740993,"timestamp":"2025-06-01 00:00:00"}'
  for (const [line, pattern, expected] of [
    [userLine({ $bytes: Buffer.from('Alice').toString('hex') }), 'alice', true],
    [userLine({ $bytes: '00ff' }), '\\x00FF', true],
    [userLine({ $text: `${Buffer.from('stripe:').toString('hex')}ff` }), 'stripe:*', true],
    [userLine({ $text: 'ff' }), 'stripe:*', false],
    [big, '9007199254740993', true],
    [big, '9007199254740992', false],
    [userLine(true), 'true', true],
    [userLine(false), 'true', false],
  ] as const)
    assert.equal(isSpared(line, { user: [pattern] }), expected, `${line} ${pattern}`)
})

test('what a line does not tell counts as spared for a file, and as not spared for restoring', () => {
  for (const inDoubt of [true, false]) {
    assert.equal(isSpared(userLine(1.5), { user: ['1.5'] }, {}, inDoubt), inDoubt)
    assert.equal(isSpared(userLine({ any: 'object' }), { user: ['any'] }, {}, inDoubt), inDoubt)
    // A column that the file lacks, as a computed one.
    assert.equal(isSpared(userLine('a'), { status: ['denied'], user: ['a'] }, {}, inDoubt), inDoubt)
    assert.equal(isSpared('{"user":"a","timestamp":"who knows"}', { user: ['a'] }, { from: '2025-01-01' }, inDoubt), inDoubt)
  }
  assert.equal(isSpared('{"User":"a","timestamp":"2025-06-01"}', { user: ['a'] }, {}, false, ['User', 'timestamp']), true)
  assert.throws(() => isSpared('[1]', {}), /is no JSON object/)
})

test('a value of megabytes is compared by its beginning, and its line stays as it is', () => {
  const line = Buffer.from(userLine(`\u00e9"alice${'x'.repeat(2 * 2 ** 20)}`))
  const before = Buffer.from(line)
  const judge = lineJudge(
    [
      { match: { user: ['\u00e9"ALICE*'] }, from: undefined, until: undefined },
      { match: { user: ['bob*'] }, from: undefined, until: undefined },
    ],
    { columns: COLUMNS, timeColumn: 'timestamp', instantsOf: allInstantsIn('UTC'), inDoubt: true },
  )
  assert.deepEqual(judge(line), [true, false])
  assert.ok(line.equals(before))
})

function at(time: string, range: Range): boolean {
  return isSpared(`{"id":1,"timestamp":"${time}"}`, {}, range)
}

test('a range begins with its first instant and ends before its last; a time that the clocks showed twice is in it if one of the two is', () => {
  assert.equal(at('2025-06-01T00:00:00Z', { from: '2025-06-01T00:00:00Z' }), true)
  assert.equal(at('2025-06-01T00:00:00Z', { to: '2025-06-01T00:00:00Z' }), false)
  // In Berlin this was shown at 00:30 and at 01:30 UTC.
  const twice = '2025-10-26 02:30:00'
  assert.equal(at(twice, { from: '2025-10-26T01:00:00Z' }), true)
  assert.equal(at(twice, { to: '2025-10-26T01:00:00Z' }), true)
  assert.equal(at(twice, { from: '2025-10-26T01:31:00Z' }), false)
  assert.equal(at(twice, { to: '2025-10-26T00:30:00Z' }), false)
})

const USERS = ['alice', 'ALICE', 'alice2', 'Älice', 'bob', '', ' alice', 'a_ice', 'a%', '42', 'ali*ce']
const TIMES = ['01:30', '02:00', '02:30', '03:00', '03:30'].map((time) => `2025-10-26 ${time}:00`)

async function fill(outside: TestDatabase): Promise<void> {
  const rows = USERS.flatMap((user) => TIMES.map((time) => `('t', '${user}', 'invoke', 'success', '${time}')`))
  await outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ${rows.join(', ')}`)
}

for (const engine of BOTH_ENGINES)
  test(`${engine.name}: restoring takes the rows that the purge keeps, with all their cases and times`, async () => {
    const accepted = new Set(['empty-table'] as const)
    for (const [matches, spared] of [
      [{ user: ['alice', '*ice', 'a_*', '42'] }, { from: undefined, until: undefined }],
      [
        { user: ['ali*'], from: '2025-10-26T01:00:00Z' },
        { from: Date.parse('2025-10-26T01:00:00Z'), until: undefined },
      ],
      [{ to: '2025-10-26T01:15:00Z' }, { from: undefined, until: Date.parse('2025-10-26T01:15:00Z') }],
    ] as const) {
      const kept: number[][] = []
      for (const way of ['purge', 'restore'] as const) {
        await using fixture = await migrated(engine)
        await using folder = await freshFolder()
        const { outside } = fixture
        await using database = await opened(outside.url, undefined, { timeZone: 'Europe/Berlin' })
        await auditLogs(outside, engine, 20, 1)
        const young = await idsOf(outside)
        await fill(outside)
        if (way === 'purge') {
          await placed(outside, 'case 7', matches)
          assert.equal((await run(database, { job: AUDIT_LOGS, retentionMs: 90 * DAY, accepted })).outcome, 'succeeded')
        } else {
          assert.equal((await purged(database, folder.path)).deleted, USERS.length * TIMES.length)
          const match: Match = 'user' in matches ? { user: matches.user } : {}
          const cutoff = Date.now() - 90 * DAY
          await restored(database, folder.path, { into: 'audit_logs', cutoff, spared: [{ match, ...spared }] })
        }
        kept.push((await idsOf(outside)).slice(young.length))
      }
      assert.deepEqual(kept[1], kept[0], JSON.stringify(matches))
      assert.ok(kept[0]!.length > 3 && kept[0]!.length < USERS.length * TIMES.length, String(kept[0]!.length))
    }
  })
