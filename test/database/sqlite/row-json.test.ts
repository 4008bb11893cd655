import assert from 'node:assert/strict'
import { test } from 'node:test'
import { array, assert as always, bigInt, constant, constantFrom, oneof, property, string, tuple, uniqueArray } from 'fast-check'
import { json, plainRow, type JsonValue } from '../../../src/database/sqlite/exporting/row-json.ts'

const NAMES = oneof(string({ unit: 'binary' }), constantFrom('1', '0', 'toJSON', '__proto__', 'constructor', 'a"b', ''))
const VALUES = oneof(
  string({ unit: 'binary' }),
  bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  bigInt(-(2n ** 54n), 2n ** 54n),
  constant(null),
  constantFrom(1.5, 2, -0, Infinity, new Uint8Array([1, 2])),
)

function valueByValue(names: readonly string[], values: readonly JsonValue[]): string {
  return `{${names.map((name, index) => `${JSON.stringify(name)}:${json(values[index]!)}`).join(',')}}`
}

void test('a line that is written at once equals the line written value by value', () => {
  let atOnce = 0
  always(
    property(
      uniqueArray(NAMES, { minLength: 1, maxLength: 6 }).chain((names) =>
        tuple(constant(names), array(array(VALUES, { minLength: names.length, maxLength: names.length }), { minLength: 1, maxLength: 4 })),
      ),
      ([names, rows]) => {
        const plain = plainRow(names)
        for (const values of rows) {
          const row = plain?.holding(values)
          if (row === undefined) continue
          atOnce += 1
          assert.equal(JSON.stringify(row), valueByValue(names, values))
        }
      },
    ),
    { numRuns: 2_000 },
  )
  assert.ok(atOnce > 200, `${atOnce} lines`)
})

void test('values that JavaScript writes differently are written one by one', () => {
  const plain = plainRow(['a', 'b'])!
  for (const value of [1.5, 2, -0, 2n ** 53n, -(2n ** 53n), new Uint8Array()]) assert.equal(plain.holding(['text', value]), undefined)
  assert.deepEqual(plain.holding([null, 7n]), { a: null, b: 7 })
  for (const name of ['1', 'toJSON', '__proto__']) assert.equal(plainRow(['a', name]), undefined)
})
