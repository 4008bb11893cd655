import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { before, describe, it } from 'node:test'
import { linesIn, svgOf, type Picture } from '../../tools/terminal/picture.ts'
import { record, SESSIONS } from '../../tools/terminal/recording.ts'
import { wordsOf } from '../../tools/terminal/same-text.ts'
import { cellsOf } from '../support/screen.ts'
import { WITHOUT_TERMINAL } from '../support/terminal.ts'
import { CHECKOUT } from './checkout.ts'
import { readDocuments } from './documents.ts'

for (const { file, title, description } of SESSIONS) {
  describe(file, () => {
    let svg = ''
    before(async () => (svg = await readFile(`${CHECKOUT}${file}`, 'utf8')))

    it('loads nothing, runs nothing, and describes what it shows', () => {
      assert.deepEqual(
        [...svg.matchAll(/https?:[^"]*/g)].map(([address]) => address),
        ['http://www.w3.org/2000/svg'],
      )
      assert.doesNotMatch(svg, /<script|<image|<foreignObject|@import|url\(|\bhref\b|\son\w+=/i)
      assert.match(svg, /^<svg [^>]*role="img" aria-labelledby="title description"/)
      assert.ok(svg.includes(`<title id="title">${title}</title>`) && svg.includes(`<desc id="description">${description}</desc>`))
    })

    it('is shown by a document, with an alternative text', async () => {
      const shown = (await readDocuments()).flatMap(({ file: document, prose }) =>
        [...prose.matchAll(/!\[([^\]]+)\]\(([^)]+)\)/g)].filter(([, , path = '']) => join(dirname(document), path) === file),
      )
      assert.equal(shown.length, 1)
      assert.ok(shown[0]![1]!.length > 30, shown[0]![1])
    })
  })
}

describe('the pictures of the terminal', { skip: WITHOUT_TERMINAL }, () => {
  let today: ReadonlyMap<string, Picture> = new Map()
  before(async () => (today = await record()))

  for (const { file } of SESSIONS) {
    it(`${file} is what the program shows today, except for times and numbers; if not, run "npm run docs:terminal"`, async () => {
      const [shown, recorded] = [linesIn(svgOf(today.get(file)!)), linesIn(await readFile(`${CHECKOUT}${file}`, 'utf8'))]
      assert.ok(shown.length > 10)
      assert.deepEqual(wordsOf(recorded), wordsOf(shown))
    })
  }
})

describe('a picture', () => {
  const sent = '\u001B[1mjob\u001B[22m   rows\r\n\u001B[31m<failed> & "gone"\u001B[39m  ▇▇▇\r\n\r\n  end'
  const svg = svgOf({ title: 'A & B', description: '<none>', columns: 30, lines: cellsOf(sent, 30) })

  it('holds the text as it was on the screen', () => {
    assert.deepEqual(linesIn(svg), ['job   rows', '<failed> & "gone"  ▇▇▇', '', '  end'])
    assert.match(svg, /<title id="title">A &amp; B<\/title>\n<desc id="description">&lt;none&gt;<\/desc>/)
  })

  it('puts each part at its column, and shows what is bold and what is red', () => {
    assert.match(svg, /<tspan x="20" textLength="25.2" [^>]*class="bold">job<\/tspan>/)
    assert.match(svg, /<tspan x="70.4" textLength="33.6" lengthAdjust="spacingAndGlyphs">rows<\/tspan>/)
    assert.match(svg, /class="red">&lt;failed&gt; &amp; &quot;gone&quot;<\/tspan>/)
  })
})

describe('two recordings', () => {
  const recorded = [
    'last run  succeeded 4 s ago (2026-11-24 03:00 UTC), took 1.2 s, deleted 1,234',
    'purge  ███████  9,870 deleted  812 ms  12.2k/s',
  ]

  it('are the same if only times and numbers differ', () => {
    const later = ['last run  succeeded just now (2027-01-02 23:59 UTC), took 3 min 5 s, deleted 7', 'purge  ██  12 deleted  9 ms']
    assert.deepEqual(wordsOf(later), wordsOf(recorded))
  })

  it('differ if a word, a sign, the number of lines or their order differs', () => {
    const [first = '', second = ''] = recorded
    for (const other of [
      [first.replace('deleted', 'removed'), second],
      [first, second.replaceAll('█', '#')],
      [first, second.replace(' deleted', '')],
      [first],
      [first, second, second],
      [second, first],
    ])
      assert.notDeepEqual(wordsOf(other), wordsOf(recorded))
  })
})
