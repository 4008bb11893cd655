import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MaintenanceError } from '../../src/errors.ts'
import { barChartText } from '../../src/terminal/bar-chart.ts'
import { dayColumnsText } from '../../src/terminal/day-columns.ts'
import { bold, ink, red, type Style } from '../../src/terminal/style.ts'
import { listText, tableText } from '../../src/terminal/table.ts'
import { DAY } from '../../src/time/clock.ts'

const HOSTILE = 'a\u001B[8mb\r\nc\u202Ed'
const SHOWN = 'a\\u001b[8mb\\r\\nc\\u202ed'
const STYLE: Style = { control: true, unicode: true, columns: 120 }

describe('texts of others on a terminal', () => {
  it('foreign texts are shown as they are read, even inside our colours', () => {
    assert.equal(ink`${HOSTILE} ${red(HOSTILE, STYLE)}`.text, `${SHOWN} \u001B[31m${SHOWN}\u001B[39m`)
    assert.equal(bold(HOSTILE, { ...STYLE, control: false }).text, SHOWN)
  })

  it('foreign texts take as much room in a table as is visible, and stay within their cell', () => {
    const lines = tableText([{ title: 'name' }, { title: 'next' }], [[HOSTILE, red('x', STYLE)]], STYLE).split('\n')
    assert.equal(lines.length, 3)
    assert.equal(lines[2], `${SHOWN}  \u001B[31mx\u001B[39m`)
    assert.equal(listText([['name', HOSTILE]], STYLE), `name  ${SHOWN}`)
  })

  it('foreign texts stay within their line in charts', () => {
    const bars = barChartText(
      HOSTILE,
      [
        { name: HOSTILE, figure: '1', value: HOSTILE },
        { name: 'a', figure: '1', value: 1 },
        { name: 'b', figure: '1', value: 1 },
      ],
      STYLE,
    )
    assert.ok(bars.startsWith(`\u001B[1m${SHOWN}\u001B[22m\n${SHOWN}`), bars)
    const columns = dayColumnsText({ days: [0, DAY], jobs: new Map([[HOSTILE, [1, 2]]]) }, STYLE)
    assert.ok(columns.includes(`${SHOWN}\u001B[22m`), columns)
    for (const text of [bars, columns]) for (const raw of ['\r', '\u202E', '\u001B[8m']) assert.ok(!text.includes(raw), text)
  })
})

describe('an error', () => {
  it('an error has as many lines as it was given, whatever a name in it holds', () => {
    assert.deepEqual(new MaintenanceError('USAGE', 'table a\r\n  b is odd').lines, ['table a b is odd'])
    const several = new MaintenanceError('USAGE', ['column x\u2028y', '  ^'])
    assert.deepEqual(several.lines, ['column x y', '  ^'])
    assert.equal(several.message, 'column x y\n  ^')
  })
})
