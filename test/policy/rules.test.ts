import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { isMatch } from '../../src/policy/match.ts'
import { isRuleName, lostRules, parsePolicy, policyText, sparedByRule, type Policy, type Rule } from '../../src/policy/rules.ts'
import { matchedColumns } from '../../src/policy/spared.ts'
import { DAY } from '../../src/time/clock.ts'

const COLUMNS = ['user', 'tool_name', 'action', 'status']
const NOW = Date.UTC(2026, 10, 1)

const pattern = fc.constantFrom('a', 'A*', 'ab', 'ab*', 'b', '*', 'é')
const rule: fc.Arbitrary<Rule> = fc.record({
  name: fc.constantFrom('one', 'two', 'three'),
  match: fc.dictionary(fc.constantFrom(...COLUMNS), fc.array(pattern, { minLength: 1, maxLength: 3 }), {
    minKeys: 1,
    noNullPrototype: true,
  }),
  retentionMs: fc.constantFrom(90 * DAY, 100 * DAY, 365 * DAY, undefined),
})
const policy: fc.Arbitrary<Policy> = fc.record({
  retentionMs: fc.constantFrom(30 * DAY, 90 * DAY, 100 * DAY),
  rules: fc.array(rule, { maxLength: 4 }),
})
const value = fc.option(fc.constantFrom<string[]>('a', 'ab', 'ABC', 'b', '', 'é'))
const row = fc.record({
  values: fc.record({ user: value, tool_name: value, action: value, status: value }),
  at: fc.oneof(
    fc.constantFrom(30, 90, 100, 365).chain((days) => fc.integer({ min: -1, max: 1 }).map((ms) => NOW - days * DAY + ms)),
    fc.integer({ min: NOW - 500 * DAY, max: NOW }),
  ),
})
type Row = typeof row extends fc.Arbitrary<infer T> ? T : never

function valueOf({ values }: Row): (column: string) => string | undefined {
  return (column) => values[column as keyof Row['values']] ?? undefined
}

/** As the engines do it: expired by the retention, and spared by no rule. */
function goes({ retentionMs, rules }: Policy, given: Row): boolean {
  const spared = rules.map((each) => sparedByRule(each, NOW))
  return (
    given.at < NOW - retentionMs &&
    !spared.some(
      ({ match, from, until }) => isMatch(match, valueOf(given)) && given.at >= (from ?? -Infinity) && given.at < (until ?? Infinity),
    )
  )
}

test('of overlapping rules the longest counts, in whatever order they stand', () => {
  fc.assert(
    fc.property(policy, row, ({ retentionMs, rules }, given) => {
      const longest = Math.max(
        retentionMs,
        ...rules.filter(({ match }) => isMatch(match, valueOf(given))).map((each) => each.retentionMs ?? Infinity),
      )
      assert.equal(goes({ retentionMs, rules }, given), NOW - given.at > longest)
      assert.equal(goes({ retentionMs, rules: rules.toReversed() }, given), NOW - given.at > longest)
    }),
    { numRuns: 20_000 },
  )
})

test('a row that is exactly as old as its rule says stays, and one that is a millisecond older goes', () => {
  const rules: readonly Rule[] = [{ name: 'security', match: { status: ['denied'] }, retentionMs: 365 * DAY }]
  const values = { user: null, tool_name: null, action: null, status: 'denied' }
  assert.equal(goes({ retentionMs: 90 * DAY, rules }, { values, at: NOW - 365 * DAY }), false)
  assert.equal(goes({ retentionMs: 90 * DAY, rules }, { values, at: NOW - 365 * DAY - 1 }), true)
})

test('no row goes earlier by a policy that has lost no rule and no day of the retention', () => {
  let [kept, lost] = [0, 0]
  fc.assert(
    fc.property(policy, policy, row, (before, after, given) => {
      if (after.retentionMs < before.retentionMs) return
      if (lostRules(before, after).length > 0) return void (lost += 1)
      kept += 1
      assert.ok(goes(before, given) || !goes(after, given))
    }),
    { numRuns: 50_000 },
  )
  assert.ok(kept > 5_000 && lost > 5_000, `${kept} ${lost}`)
})

test('what goes earlier is what a lost rule kept', () => {
  let earlier = 0
  fc.assert(
    fc.property(policy, policy, row, (before, after, given) => {
      if (after.retentionMs < before.retentionMs || goes(before, given) || !goes(after, given)) return
      earlier += 1
      const lost = { retentionMs: 0, rules: lostRules(before, after) }
      assert.equal(goes(lost, given), false)
    }),
    { numRuns: 50_000 },
  )
  assert.ok(earlier > 200, `${earlier}`)
})

describe('what is lost', () => {
  const BASE = 90 * DAY
  const denied: Rule = { name: 'security', match: { status: ['denied', 'violation'] }, retentionMs: 365 * DAY }
  const CASES: readonly [what: string, rules: readonly Rule[], retentionMs: number, isLost: boolean][] = [
    ['the same rule', [denied], BASE, false],
    ['a rule under another name', [{ ...denied, name: 'other' }], BASE, false],
    ['a longer rule', [{ ...denied, retentionMs: undefined }], BASE, false],
    ['a wider rule', [{ ...denied, match: { status: ['*'] } }], BASE, false],
    [
      'a rule split by value',
      [
        { ...denied, match: { status: ['DENIED'] } },
        { ...denied, name: 'b', match: { status: ['viol*'] } },
      ],
      BASE,
      false,
    ],
    [
      'a rule split into unequal periods, each long enough',
      [
        { ...denied, match: { status: ['denied'] } },
        { ...denied, match: { status: ['violation'] }, retentionMs: undefined },
      ],
      BASE,
      false,
    ],
    ['a retention as long as the rule', [], 365 * DAY, false],
    ['no rule', [], BASE, true],
    ['a shorter rule', [{ ...denied, retentionMs: 364 * DAY }], BASE, true],
    ['a rule with a value less', [{ ...denied, match: { status: ['denied'] } }], BASE, true],
    ['a rule with a column more', [{ ...denied, match: { ...denied.match, user: ['*'] } }], BASE, true],
    [
      'a rule split, one part too short',
      [
        { ...denied, match: { status: ['denied'] } },
        { ...denied, match: { status: ['violation'] }, retentionMs: 100 * DAY },
      ],
      BASE,
      true,
    ],
  ]
  for (const [what, rules, retentionMs, isLost] of CASES)
    test(`${what}: ${isLost ? 'lost' : 'nothing'}`, () =>
      assert.deepEqual(lostRules({ retentionMs: BASE, rules: [denied] }, { retentionMs, rules }), isLost ? [denied] : []))

  test('a rule for ever is shortened by any period', () => {
    const forever: Rule = { ...denied, retentionMs: undefined }
    assert.deepEqual(
      lostRules({ retentionMs: BASE, rules: [forever] }, { retentionMs: BASE, rules: [{ ...forever, retentionMs: 36_500 * DAY }] }),
      [forever],
    )
  })

  test('a rule with more combinations than are looked at counts as lost unless one rule has it all', () => {
    const wide: Rule = { name: 'wide', match: { user: many('u'), tool_name: many('t') }, retentionMs: undefined }
    const halves = [many('u').slice(0, 75), many('u').slice(75)].map((user): Rule => ({ ...wide, match: { ...wide.match, user } }))
    assert.deepEqual(lostRules({ retentionMs: BASE, rules: [wide] }, { retentionMs: BASE, rules: [wide] }), [])
    assert.deepEqual(lostRules({ retentionMs: BASE, rules: [wide] }, { retentionMs: BASE, rules: halves }), [wide])
  })
})

describe('a policy as text', () => {
  test('is read back as what it was, in ASCII', () => {
    fc.assert(
      fc.property(policy, (given) => {
        const text = policyText(given, COLUMNS)
        assert.match(text, /^[ -~]*$/)
        const read = parsePolicy(text, COLUMNS)!
        assert.equal(policyText(read, COLUMNS), text)
        assert.deepEqual([lostRules(given, read), lostRules(read, given)], [[], []])
      }),
    )
  })

  test('does not depend on the order of rules, columns and values', () => {
    const one: Rule = { name: 'one', match: { user: ['b', 'A'], status: ['x'] }, retentionMs: undefined }
    const two: Rule = { name: 'two', match: { user: ['c'] }, retentionMs: 100 * DAY }
    const turned: Rule = { ...one, match: { status: ['X'], user: ['a', 'b', 'B'] } }
    assert.equal(
      policyText({ retentionMs: DAY, rules: [one, two] }, COLUMNS),
      policyText({ retentionMs: DAY, rules: [two, turned] }, COLUMNS),
    )
  })

  test('is not believed if it is anything but what is written', () => {
    const text = policyText({ retentionMs: 90 * DAY, rules: [{ name: 'a', match: { user: ['x'] }, retentionMs: undefined }] }, COLUMNS)
    assert.equal(text, '{"retention":"90d","rules":[{"match":{"user":["x"]},"retention":"forever","name":"a"}]}')
    for (const other of [
      '',
      'null',
      '[]',
      '{}',
      '{"retention":"90d"}',
      `${text} `,
      text.replace('"90d"', '90'),
      text.replace('"90d"', '"2160h"'),
      text.replace('"forever"', '"90"'),
      text.replace('"forever"', 'null'),
      text.replace('"user"', '"session"'),
      text.replace('["x"]', '[]'),
      text.replace('["x"]', '"x"'),
      text.replace('"x"', '"X"'),
      text.replace('"a"', '1'),
      text.replace(/}$/, ',"more":1}'),
      text.replace(/"rules":\[.*\]/, '"rules":{}'),
      text.replace(/\[(\{.*\})\]/, (_, each: string) => `[${Array.from({ length: 41 }, () => each).join(',')}]`),
      '['.repeat(100_000),
    ])
      assert.equal(parsePolicy(other, COLUMNS), undefined, other.slice(0, 100))
  })
})

function many(text: string): string[] {
  return Array.from({ length: 150 }, (_, at) => `${text}${at}`)
}

test('a name is what a hold may have as its name', () => {
  for (const name of ['a', '7', 'case-17', 'a.b_c:d@e/f', 'x'.repeat(64)]) assert.ok(isRuleName(name), name)
  for (const name of ['', '-a', 'a b', 'ä', 'x'.repeat(65), 'a\n', 'a"']) assert.ok(!isRuleName(name), name)
})

test('the columns by which rows are spared are those of every match, once each', () => {
  const spared = [
    { name: 'a', match: { user: ['x'], status: ['y'] }, retentionMs: undefined },
    { name: 'b', match: { user: ['z'] }, retentionMs: DAY },
  ].map((each) => sparedByRule(each, NOW))
  assert.deepEqual(matchedColumns(spared), ['user', 'status'])
  assert.deepEqual(spared[1], { match: { user: ['z'] }, from: NOW - DAY, until: undefined })
})
