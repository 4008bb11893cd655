import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesOf, cutLine, isTagged } from '../../src/database/exporting/json-line.ts'
import { LONG_BYTES } from '../../src/database/exporting/json-text.ts'

const LONG = LONG_BYTES + 10
const CONTENTS = [
  'a',
  '"',
  '\\',
  '\\"',
  '\n\t\b\f\r',
  '\u0001\u001f',
  '\u007f\u0080',
  'é\u4f60\u2028',
  '\u{1F600}',
  '{"a":[1,":",{}]}',
  '/',
]

function filled(content: string): string {
  return content.repeat(Math.ceil(LONG / content.length))
}

/** As the parser of JSON reads it, with what was taken out put back. */
function putTogether(line: Buffer): unknown {
  const { text, long } = cutLine(line)
  const row = JSON.parse(text) as Record<string, unknown>
  for (const [name, value] of long) {
    const bytes = bytesOf(value)
    row[name] = value.tag === undefined ? bytes.toString() : { [value.tag]: bytes.toString('hex') }
  }
  return row
}

for (const content of CONTENTS) {
  test(`a line with very long strings of ${JSON.stringify(content)} is read as the parser of JSON reads it`, () => {
    const row = {
      id: 1,
      'a"b': filled(content),
      short: content,
      none: null,
      other: `${filled(content)}x`,
      bytes: { $bytes: filled('00ff') },
      last: -1.5,
    }
    for (const text of [JSON.stringify(row), JSON.stringify(row, null, 1), JSON.stringify(row).replaceAll(/[^\x20-\x7e]/gu, escaped)]) {
      const { long, text: rest } = cutLine(Buffer.from(text))
      // In a line with blanks before its colons nothing is known of keys.
      if (!text.includes('\n')) assert.deepEqual([...long.keys()], ['a"b', 'other', 'bytes'])
      assert.ok(rest.length < text.length)
      assert.deepEqual(putTogether(Buffer.from(text)), JSON.parse(text))
    }
  })
}

function escaped(character: string): string {
  return [...Array(character.length).keys()]
    .map((at) => `\\u${character.charCodeAt(at).toString(16).toUpperCase().padStart(4, '0')}`)
    .join('')
}

test('a line that is not long is left as it is', () => {
  const line = JSON.stringify({ a: 'b'.repeat(LONG_BYTES - 10) })
  assert.deepEqual(cutLine(Buffer.from(line)), { text: line, long: new Map() })
})

const LETTERS = 'a'.repeat(LONG)
const BROKEN: readonly (readonly [what: string, json: string | Buffer])[] = [
  ['a raw line feed', `${LETTERS}\n`],
  ['an escape that there is not', `${LETTERS}\\x41`],
  ['an escape that is cut off', `${LETTERS}\\u00`],
  ['half a surrogate pair', `${LETTERS}\\ud800`],
  ['the other half', `${LETTERS}\\udc00`],
  ['halves in the wrong order', `${LETTERS}\\ud800\\u0041`],
  ['bytes that are no UTF-8', Buffer.concat([Buffer.from(LETTERS), Buffer.from([0xc3, 0x28])])],
]

for (const [what, json] of BROKEN) {
  test(`a very long string with ${what} is refused`, () => {
    const line = Buffer.concat([Buffer.from('{"id":1,"a":"'), Buffer.from(json), Buffer.from('"}')])
    const { long } = cutLine(line)
    assert.throws(() => bytesOf(long.get('a')!), /a line of the file has an invalid string; nothing of this batch was restored/)
  })
}

test('invalid hexadecimal is refused, and an object with another tag is not taken for one of ours', () => {
  for (const hex of [`${LETTERS}x`, LETTERS.slice(1), `${LETTERS.slice(0, -1)}g`].filter(
    (each) => each.length % 2 === 1 || /[^0-9a-f]/.test(each),
  )) {
    const { long } = cutLine(Buffer.from(`{"a":{"$bytes":"${hex}"}}`))
    assert.throws(() => bytesOf(long.get('a')!), /an invalid string/)
  }
  const { long } = cutLine(Buffer.from(`{"a":{"$real":"${LETTERS}"}}`))
  assert.equal(isTagged(long.get('a')!), false)
})

test('a text that is not a row is left as it is, for the parser to refuse', () => {
  for (const line of [`["${LETTERS}"]`, `"${LETTERS}"`, `{"a":["${LETTERS}"]}`, `{"a":{"b":{"c":"${LETTERS}"}}}`, `{"${LETTERS}":1}`])
    assert.equal(cutLine(Buffer.from(line)).long.size, 0)
  for (const line of [`{"a":"${LETTERS}`, `{"a":"${LETTERS}\\"`, `{"${LETTERS}`])
    assert.throws(() => JSON.parse(cutLine(Buffer.from(line)).text) as unknown, SyntaxError)
})
