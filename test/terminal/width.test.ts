import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { red, type Style } from '../../src/terminal/style.ts'
import { listText, tableText } from '../../src/terminal/table.ts'
import { aligned, cutTo, widthOf, wrapped } from '../../src/observe/width.ts'

const STYLE: Style = { control: true, unicode: true, columns: 40 }
const RED = red('red', STYLE).text

describe('a line on a terminal', () => {
  it('styles and combining marks take no room in a line, and a wide character takes two columns', () => {
    assert.equal(widthOf('abc'), 3)
    assert.equal(widthOf(RED), 3)
    assert.equal(widthOf('e\u0301'), 1)
    assert.equal(widthOf('日本'), 4)
  })

  it('a line is padded on the other side, and left as it is without a width', () => {
    assert.equal(aligned(RED, 5), `${RED}  `)
    assert.equal(aligned('日', 4, 'right'), '  日')
    assert.equal(aligned('abc', 2), 'abc')
  })

  it('a line that is too long is cut with a mark, and a style that begins in it ends in it', () => {
    assert.equal(cutTo('abc', 3, '…'), 'abc')
    assert.equal(cutTo('abcd', 3, '…'), 'ab…')
    assert.equal(cutTo(`${RED} and more`, 3, '…'), '\u001B[31mre…\u001B[39m')
    assert.equal(cutTo('日本語', 4, '~'), '日~')
  })

  it('a line that is too long is broken at spaces, and within a word that is too long by itself', () => {
    assert.deepEqual(wrapped('one two three', 7), ['one two', 'three'])
    assert.deepEqual(wrapped('a /srv/gateway.db b', 6), ['a', '/srv/g', 'ateway', '.db b'])
    assert.deepEqual(wrapped('', 6), [''])
    assert.deepEqual(wrapped('one two', Infinity), ['one two'])
  })
})

describe('a table', () => {
  const columns = [
    { title: 'job', cutFirst: true },
    { title: 'rows', align: 'right' },
    { title: 'worker', dispensable: 1 },
  ] as const

  it('a table drops optional columns, then cuts cells, and is no wider than the terminal', () => {
    const rows = [
      ['purge-policy-decisions', '1,000', 'host-7:1'],
      ['purge', RED, ''],
    ]
    const shown = (width: number): string =>
      tableText(
        columns,
        rows.map((row) => row.map((text) => (text === RED ? red('red', STYLE) : text))),
        { ...STYLE, columns: width, control: false },
      )
    assert.equal(
      shown(60),
      'job                      rows  worker\n──────────────────────  ─────  ────────\npurge-policy-decisions  1,000  host-7:1\npurge                     \u001B[31mred\u001B[39m',
    )
    assert.match(shown(30), /^job +rows\n/)
    assert.match(shown(24), /^purge-policy-dec…  1,000$/m)
  })
})

describe('a list', () => {
  it('a list continues below its texts', () => {
    assert.equal(
      listText(
        [
          ['last run', 'succeeded two days ago, deleted 5'],
          ['late', 'no'],
        ],
        { ...STYLE, columns: 32 },
      ),
      'last run  succeeded two days\n          ago, deleted 5\nlate      no',
    )
  })

  it('a list keeps its width off a terminal, or on a narrow one', () => {
    const text = 'succeeded two days ago'
    for (const columns of [20, Infinity]) assert.equal(listText([['last run', text]], { ...STYLE, columns }), `last run  ${text}`)
  })
})
