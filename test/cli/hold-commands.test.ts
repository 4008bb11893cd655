import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HELD_COLUMNS, JOBS } from '../../src/catalogue.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { parseCommand } from '../../src/cli/parse.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { timeOf } from '../../src/policy/holds.ts'

const PLACE = {
  names: ['case-17'],
  user: [],
  tool_name: [],
  action: [],
  status: [],
  from: undefined,
  to: undefined,
  reason: 'a letter',
  by: undefined,
  reviewAt: undefined,
  dryRun: false,
  everything: false,
  evenIfNone: false,
}

const GOOD: readonly [words: readonly string[], values: object][] = [
  [['--user', 'alice'], { user: ['alice'] }],
  [
    ['--user', 'alice', '--user', 'Bob*', '--tool', 'stripe:*', '--action', 'invoke', '--status', 'denied'],
    { user: ['alice', 'Bob*'], tool_name: ['stripe:*'], action: ['invoke'], status: ['denied'] },
  ],
  [['--from', '2026-01-01', '--to', '2026-02-01T12:30+01:00'], { from: Date.UTC(2026, 0, 1), to: Date.UTC(2026, 1, 1, 11, 30) }],
  [['--from', '2026-01-01'], { from: Date.UTC(2026, 0, 1) }],
  [['--everything', '--by', 'Jane Doe, Legal'], { everything: true, by: 'Jane Doe, Legal' }],
  [
    ['--user', 'a', '--review', '2027-01-01', '--dry-run', '--even-if-none'],
    { user: ['a'], reviewAt: Date.UTC(2027, 0, 1), dryRun: true, evenIfNone: true },
  ],
  [['--user', 'x'.repeat(500)], { user: ['x'.repeat(500)] }],
]

for (const [words, values] of GOOD)
  test(`hold place ${words.join(' ').slice(0, 80)} is understood`, () => {
    const parsed = parseCommand(['hold', 'place', 'case-17', ...words, '--reason', 'a letter'])
    assert.ok(parsed.kind === 'command')
    assert.deepEqual([parsed.command.name, parsed.call.values], ['hold place', { ...PLACE, ...values }])
  })

const BAD: readonly [words: readonly string[], ...problems: RegExp[]][] = [
  [['hold'], /hold needs place, release, list, show/],
  [['hold', 'place', 'a', '--user', 'u'], /--reason is missing/],
  [['hold', 'place', 'a', '--reason', 'r'], /needs a condition, such as --user, or --everything/],
  [['hold', 'place', 'a', '--reason', 'r', '--everything', '--user', 'u'], /--everything does not go with a condition/],
  [['hold', 'place', 'a', '--reason', 'r', '--everything', '--from', '2026-01-01'], /--everything does not go with a condition/],
  [['hold', 'place', '--reason', 'r', '--user', 'u'], /takes one NAME/],
  [['hold', 'place', 'a', 'b', '--reason', 'r', '--user', 'u'], /takes one NAME/],
  [['hold', 'place', '-- a', '--reason', 'r', '--user', 'u'], /-- a/],
  [['hold', 'place', '.a', '--reason', 'r', '--user', 'u'], /".a" is no name of a hold/],
  [['hold', 'place', 'a b', '--reason', 'r', '--user', 'u'], /"a b" is no name of a hold/],
  [['hold', 'place', 'é', '--reason', 'r', '--user', 'u'], /is no name of a hold/],
  [['hold', 'place', 'a'.repeat(65), '--reason', 'r', '--user', 'u'], /is no name of a hold/],
  [['hold', 'place', 'a', '--reason', ' ', '--user', 'u'], /--reason is empty/],
  [['hold', 'place', 'a', '--reason', 'r\u0007', '--user', 'u'], /--reason has a control character/],
  [['hold', 'place', 'a', '--reason', 'r\nr', '--user', 'u'], /--reason has a control character/],
  [['hold', 'place', 'a', '--reason', 'r'.repeat(2001), '--user', 'u'], /--reason has 2001 characters, and 2000 are the most/],
  [['hold', 'place', 'a', '--reason', 'r', '--by', 'b'.repeat(201), '--user', 'u'], /--by has 201 characters/],
  [['hold', 'place', 'a', '--reason', 'r', '--user', ''], /--user has an empty value/],
  [['hold', 'place', 'a', '--reason', 'r', '--user', 'u'.repeat(501)], /--user has a value of 501 characters/],
  [['hold', 'place', 'a', '--reason', 'r', '--tool', 'a\u0000'], /--tool has a value with a control character/],
  [['hold', 'place', 'a', '--reason', 'r', ...Array.from({ length: 201 }, () => ['--user', 'u']).flat()], /--user is given 201 times/],
  [['hold', 'place', 'a', '--reason', 'r', '--from', '2026-01-02', '--to', '2026-01-02'], /--from is not before --to/],
  [['hold', 'place', 'a', '--reason', 'r', '--from', '2026-02-31'], /--from is "2026-02-31", but needs a day/],
  [['hold', 'place', 'a', '--reason', 'r', '--to', 'tomorrow'], /--to is "tomorrow", but needs a day/],
  [['hold', 'place', 'a', '--reason', 'r', '--user', 'u', '--review', '30d'], /--review is "30d", but needs a day/],
  [['hold', 'release', 'a'], /--reason is missing/],
  [['hold', 'release', '--reason', 'r'], /hold release takes one NAME/],
  [['hold', 'release', 'a', '--reason', 'r', '--user', 'u'], /--user goes with hold place/],
  [['hold', 'show'], /hold show takes one NAME/],
  [['hold', 'list', 'a'], /unexpected argument "a"/],
  [['hold', 'list', '--reason', 'r'], /--reason goes with hold place or hold release/],
  [['hold', 'lift', 'a'], /hold has no "lift"; it has place, release, list, show/],
]

for (const [words, ...problems] of BAD)
  test(`"${words.slice(0, 9).join(' ').slice(0, 90)}" is refused with exit code 2`, () => {
    assert.throws(
      () => parseCommand(words),
      (error) => {
        assert.ok(error instanceof MaintenanceError)
        assert.equal(error.exitCode, 2)
        for (const problem of [...problems, /nothing was done/]) assert.match(error.message, problem)
        return true
      },
    )
  })

test('every problem of a hold is named at once', () => {
  assert.throws(
    () => parseCommand(['hold', 'place', '!', '--from', 'x', '--to', 'y', '--by', '', '--review', 'z', '--tool', '']),
    /is no name of a hold[^]*--reason is missing[^]*--tool has an empty[^]*--from is "x"[^]*--to is "y"[^]*--by is empty[^]*--review is "z"/,
  )
})

test('rows are named by the columns of the catalogue, and by no others', () => {
  assert.deepEqual(
    JOBS.filter(({ holdable }) => holdable.by.length > 0).map(({ holdable }) => holdable.by),
    [HELD_COLUMNS],
  )
  const options = COMMANDS.find(({ name }) => name === 'hold place')!.options.filter(({ placeholder }) => placeholder === 'VALUE')
  assert.deepEqual(
    options.map(({ name }) => name),
    ['user', 'tool', 'action', 'status'],
  )
})

const TIMES: readonly [string, string | undefined][] = [
  ['2026-01-02', '2026-01-02T00:00:00.000Z'],
  ['2024-02-29', '2024-02-29T00:00:00.000Z'],
  ['2026-01-02T03:04', '2026-01-02T03:04:00.000Z'],
  ['2026-01-02 03:04', '2026-01-02T03:04:00.000Z'],
  ['2026-01-02T03:04:05', '2026-01-02T03:04:05.000Z'],
  ['2026-01-02T03:04:05.6Z', '2026-01-02T03:04:05.600Z'],
  ['2026-01-02T03:04:05.678+02:00', '2026-01-02T01:04:05.678Z'],
  ['2026-01-02T00:00-09:30', '2026-01-02T09:30:00.000Z'],
  ['2026-01-02T23:59:59.999Z', '2026-01-02T23:59:59.999Z'],
  ['2026-02-29', undefined],
  ['2026-02-31', undefined],
  ['2026-04-31T12:00', undefined],
  ['2026-13-01', undefined],
  ['2026-00-01', undefined],
  ['2026-01-00', undefined],
  ['2026-1-2', undefined],
  ['02.01.2026', undefined],
  ['01/02/2026', undefined],
  ['2026-01-02T24:00', undefined],
  ['2026-01-02T25:00', undefined],
  ['2026-01-02T12:60', undefined],
  ['2026-01-02T12:30:60Z', undefined],
  ['2026-01-02T12', undefined],
  ['2026-01-02T12:30:00.0001Z', undefined],
  ['2026-01-02T12:30+0200', undefined],
  ['2026-01-02T12:30+20:00', undefined],
  ['2026-01-02T12:30+01:60', undefined],
  ['2026-01-02T12:30 UTC', undefined],
  ['2026-01-02T12:30z', undefined],
  ['2026-01-02Z', undefined],
  [' 2026-01-02', undefined],
  ['2026-01-02\n', undefined],
  ['١٢٣٤-٠١-٠٢', undefined],
  ['12026-01-02', undefined],
  ['', undefined],
]

for (const [given, expected] of TIMES)
  test(`${JSON.stringify(given)} is ${expected ?? 'no time'}`, () => {
    const at = timeOf(given)
    assert.equal(at === undefined ? undefined : new Date(at).toISOString(), expected)
  })

test('what is no text is no time', () => {
  for (const given of [0, null, undefined, new Date(0), ['2026-01-02']]) assert.equal(timeOf(given), undefined)
})
