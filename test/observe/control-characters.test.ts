import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { jsonDocument, visible, visibleJson, visibleLines } from '../../src/observe/control-characters.ts'

test('characters that a terminal obeys, and invisible ones, are written as escapes', () => {
  const told = [
    ['\u001B]0;pwned\u0007', '\\u001b]0;pwned\\u0007'],
    ['\u009B31m', '\\u009b31m'],
    ['a\r\nb\tc', 'a\\r\\nb\\tc'],
    ['\u202Efdp.exe', '\\u202efdp.exe'],
    ['\u2028\u2029\u200F\u061C\u2066', '\\u2028\\u2029\\u200f\\u061c\\u2066'],
    ['\u200B\u00AD\uFEFF\u3164', '\\u200b\\u00ad\\ufeff\\u3164'],
    ['\u{E0041}', '\\u{e0041}'],
    ['\uD800', '\\ud800'],
    ['naïve 日本語 🙂 "quoted" \\n', 'naïve 日本語 🙂 "quoted" \\n'],
  ] as const
  for (const [given, shown] of told) assert.equal(visible(given), shown)
  assert.equal(visibleLines('a\r\nb'), 'a\\r\nb')
})

test('any text is shown as one line, and showing it again does not change it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = visible(text)
      assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
      assert.equal(visible(shown), shown)
    }),
  )
})

test('a JSON text keeps its values, without invisible characters', () => {
  const given = { 'k\u202E': 'a\u007F\u009B31m\u2028\u200B\n"', tag: '\u{E0041}🙂', lone: '\uD800', more: ['naïve \\u0041'] }
  const shown = visibleJson(JSON.stringify(given))
  assert.equal(
    shown,
    String.raw`{"k\u202e":"a\u007f\u009b31m\u2028\u200b\n\"","tag":"\udb40\udc41🙂","lone":"\ud800","more":["naïve \\u0041"]}`,
  )
  assert.deepEqual(JSON.parse(shown), given)
  fc.assert(
    fc.property(fc.json({ stringUnit: 'binary' }), (json) => {
      const value = { a: JSON.parse(json) as unknown }
      const document = jsonDocument(value)
      assert.deepEqual(JSON.parse(document), JSON.parse(JSON.stringify(value)))
      for (const line of document.split('\n')) assert.equal(visible(line), line)
    }),
  )
})
