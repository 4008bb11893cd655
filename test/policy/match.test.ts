import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { canonicalMatch, covers, isMatch, matchOf, matchProblems, matchText, patternOf, type Match } from '../../src/policy/match.ts'

const COLUMNS = ['user', 'tool_name', 'status']

/** Few letters, so that patterns and values meet. */
const word = fc.string({ unit: fc.constantFrom('a', 'A', 'b', 'k', '\u212a', '*', '%', '_', 'ß'), maxLength: 4 })
const patterns = fc.array(
  word.filter((text) => text !== ''),
  { minLength: 1, maxLength: 3 },
)
const match: fc.Arbitrary<Match> = fc.dictionary(fc.constantFrom(...COLUMNS), patterns, { noNullPrototype: true })
const row = fc.record({ user: fc.option(word), tool_name: fc.option(word), status: fc.option(word) })
type Row = typeof row extends fc.Arbitrary<infer T> ? T : never

function matches(given: Match, values: Row): boolean {
  return isMatch(given, (column) => values[column as keyof Row] ?? undefined)
}

describe('which rows match', () => {
  const ALIKE: readonly [pattern: string, value: string | undefined, isMatch: boolean][] = [
    ['denied', 'denied', true],
    ['denied', 'DENIED', true],
    ['Denied', 'denied', true],
    ['denied', 'denied ', false],
    ['denied', undefined, false],
    ['stripe:*', 'stripe:', true],
    ['stripe:*', 'Stripe:charge', true],
    ['stripe:*', 'stripe', false],
    ['stripe:*', 'a stripe:charge', false],
    ['*', '', true],
    ['*', undefined, false],
    ['*a', 'xa', false],
    ['*a', '*a', true],
    ['a*b', 'a*b', true],
    ['a*b', 'axb', false],
    ['a**', 'a*b', true],
    ['a**', 'ab', false],
    ['a_c', 'abc', false],
    ['a%', 'abc', false],
    ['É', 'é', false],
    ['k', '\u212a', false],
    ['ſ', 's', false],
  ]
  for (const [pattern, value, isGood] of ALIKE)
    test(`${JSON.stringify(pattern)} ${isGood ? 'matches' : 'does not match'} ${JSON.stringify(value) ?? 'NULL'}`, () =>
      assert.equal(
        isMatch({ user: [pattern] }, () => value),
        isGood,
      ))

  test('every column must hold one of its patterns, and without a column every row matches', () => {
    const given = { user: ['alice', 'bob'], status: ['denied'] }
    assert.ok(matches(given, { user: 'bob', tool_name: null, status: 'denied' }))
    assert.ok(!matches(given, { user: 'bob', tool_name: null, status: 'success' }))
    assert.ok(!matches(given, { user: 'carol', tool_name: null, status: 'denied' }))
    assert.ok(!matches(given, { user: null, tool_name: null, status: 'denied' }))
    assert.ok(matches({}, { user: null, tool_name: null, status: null }))
  })
})

test('a match that covers another one has each of its rows', () => {
  let covered = 0
  fc.assert(
    fc.property(match, match, row, (wider, narrower, values) => {
      if (!covers(wider, narrower)) return
      covered += 1
      assert.ok(!matches(narrower, values) || matches(wider, values))
    }),
    { numRuns: 20_000 },
  )
  assert.ok(covered > 1_000, `${covered} were covered`)
})

test('a match covers what it becomes in canonical form, and the other way round', () => {
  fc.assert(
    fc.property(match, row, (given, values) => {
      const canonical = canonicalMatch(given, COLUMNS)
      assert.ok(covers(given, canonical) && covers(canonical, given))
      assert.equal(matches(canonical, values), matches(given, values))
    }),
  )
})

test('the canonical form does not depend on order, case or repetition', () => {
  assert.equal(
    JSON.stringify(canonicalMatch({ status: ['b', 'A', 'a'], user: ['X'] }, COLUMNS)),
    JSON.stringify(canonicalMatch({ user: ['x', 'X'], status: ['a', 'B'] }, COLUMNS)),
  )
})

function covering(wider: string, narrower: string): boolean {
  return covers({ user: [wider] }, { user: [narrower] })
}

test('a prefix is wider than what begins with it, and a value never than a prefix', () => {
  assert.deepEqual(
    [covering('a*', 'AB'), covering('a*', 'ab*'), covering('ab*', 'a*'), covering('ab', 'ab*'), covering('*', 'x*'), covering('a', 'A')],
    [true, true, false, false, true, true],
  )
  assert.ok(covers({}, { user: ['a'] }))
  assert.ok(!covers({ user: ['*'] }, {}), 'a row without a user')
})

test('what is no match is refused by what is wrong with it, and a single value may stand without a list', () => {
  const REFUSED: readonly [given: unknown, problem: RegExp][] = [
    [null, /^is not a list of columns/],
    [['user'], /^is not a list of columns/],
    ['user', /^is not a list of columns/],
    [{ users: ['a'] }, /^"users" is no column to match by: user, tool_name, status are$/],
    [{ constructor: ['a'] }, /^"constructor" is no column/],
    [{ user: [] }, /^user has no value$/],
    [{ user: null }, /^user has no value$/],
    [{ user: [null] }, /^user has no value$/],
    [{ user: 5 }, /^user has a value that is no text: 5; put it in quotation marks$/],
    [{ user: [true] }, /^user has a value that is no text: true; put it in quotation marks$/],
    [{ user: [['a']] }, /^user has a value that is no text: a list$/],
    [{ user: { a: 'b' } }, /^user has a value that is no text: a section$/],
    [{ user: '' }, /^user has an empty value$/],
    [{ user: 'a\u0000' }, /control character/],
    [{ user: '\ud800' }, /half a character/],
    [{ user: 'x'.repeat(501) }, /^user has a value of 501 characters, and 500 are the most$/],
    [{ user: Array.from({ length: 201 }, () => 'x') }, /^user has 201 values, and 200 are the most$/],
  ]
  for (const [given, problem] of REFUSED) assert.match(matchProblems(given, COLUMNS)[0] ?? 'accepted', problem, JSON.stringify(given))
  assert.equal(matchProblems({ users: 'a', user: '' }, COLUMNS).length, 2)
  assert.deepEqual(matchProblems({ user: 'a', status: ['b', 'c*'] }, COLUMNS), [])
  assert.deepEqual(matchOf({ user: 'a', status: ['b', 'c*'] }), { user: ['a'], status: ['b', 'c*'] })
})

test('a match is told in words', () => {
  assert.equal(matchText({ user: ['alice', 'bob'], tool_name: ['stripe:*'] }), 'user alice or bob, and tool_name stripe:*')
  assert.equal(matchText({}), 'every row')
  assert.deepEqual(patternOf('A*'), { text: 'a', isPrefix: true })
})
