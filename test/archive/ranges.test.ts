import assert from 'node:assert/strict'
import { test } from 'node:test'
import { array, assert as check, boolean, property } from 'fast-check'
import { countOf, rangesText, readRanges } from '../../src/archive/ranges.ts'

test('the ranges of deleted rows are read back as they were written', () => {
  assert.equal(rangesText(Uint8Array.from([1, 1, 0, 1, 0, 0, 1, 1, 1])), '0-1,3,6-8')
  assert.equal(rangesText(new Uint8Array(5)), '')
  assert.equal(rangesText(new Uint8Array()), '')
  assert.deepEqual(readRanges(null, 3), new Uint8Array(3))
  check(
    property(array(boolean(), { maxLength: 300 }), (rows) => {
      const set = Uint8Array.from(rows, Number)
      assert.deepEqual(readRanges(rangesText(set), rows.length), set)
      assert.equal(countOf(set), rows.filter(Boolean).length)
    }),
  )
})
