import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deletedByDay } from '../../src/status/deleted-by-day.ts'
import { barChartText } from '../../src/terminal/bar-chart.ts'
import { dayColumnsText } from '../../src/terminal/day-columns.ts'
import { histogramText } from '../../src/terminal/histogram.ts'
import type { Style } from '../../src/terminal/style.ts'
import { DAY, HOUR } from '../../src/time/clock.ts'

/** 2024-10-04 */
const TODAY = 20_000 * DAY

function style(columns: number, changes: Partial<Style> = {}): Style {
  return { control: true, unicode: true, columns, ...changes }
}

/** Without bold. */
function linesOf(text: string): string[] {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/\u001B\[\d+m/g, '').split('\n')
}

describe('a chart of bars', () => {
  const rows = [
    { name: 'first', figure: '1,000', value: 1_000 },
    { name: 'second', figure: '250', value: 250 },
    { name: 'none', figure: '0', value: 0 },
    { name: 'other', figure: '7', value: 'on 7 days' },
  ]

  it('a chart has a name, a figure and a bar on each line, or a text in place of the bar', () => {
    assert.deepEqual(linesOf(barChartText('title', rows, style(31))), [
      'title',
      'first   1,000  ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇',
      'second    250  ▇▇▇▇',
      'none        0',
      'other       7  on 7 days',
      '',
    ])
  })

  it('a chart fits the terminal, is no longer than it needs, and has no bars if they would show nothing', () => {
    for (const columns of [20, 21, 50, 80, 120, 1_000]) {
      const longest = Math.max(...linesOf(barChartText('title', rows, style(columns))).map((line) => line.length))
      assert.ok(longest <= Math.max(columns, 'other       7  on 7 days'.length), `${longest} in ${columns}`)
    }
    assert.doesNotMatch(barChartText('title', rows, style(19)), /▇/)
    assert.equal(linesOf(barChartText('title', rows, style(1_000)))[1]!.length, 15 + 50)
  })

  it('a chart is plain with NO_COLOR, and absent off a terminal or without rows', () => {
    assert.match(barChartText('title', rows, style(80, { control: false })), /^title\n[ -~\n]*#\n[ -~\n]*$/)
    assert.equal(barChartText('title', rows, style(Infinity, { control: false })), '')
    assert.equal(barChartText('title', [], style(80)), '')
  })
})

describe('the histogram by day', () => {
  it('the histogram has a line for a day without rows, and one for all days before the last thirty', () => {
    const days = new Map([
      [TODAY, 10],
      [TODAY - 2 * DAY, 5],
      [TODAY - 29 * DAY, 20],
      [TODAY - 30 * DAY, 7],
      [TODAY - 400 * DAY, 9],
    ])
    const lines = linesOf(histogramText('title', days, style(24)))
    assert.equal(lines.length, 1 + 1 + 30 + 1)
    assert.deepEqual(lines.slice(0, 3), ['title', 'earlier     16  on 2 days', '2024-09-05  20  ▇▇▇▇▇▇▇▇'])
    assert.deepEqual(lines.slice(-4), ['2024-10-02   5  ▇▇', '2024-10-03   0', '2024-10-04  10  ▇▇▇▇', ''])
  })

  it('a histogram of one day, or of none, is left out, because one bar compares nothing', () => {
    assert.equal(histogramText('title', new Map([[TODAY, 1]]), style(20)), '')
    assert.equal(histogramText('title', new Map(), style(80)), '')
  })
})

describe('the histogram of a dry run with rows that stay', () => {
  const days = new Map([
    [TODAY - 3 * DAY, 40],
    [TODAY - 2 * DAY, 10],
  ])
  const kept = new Map([
    [TODAY - 40 * DAY, 5],
    [TODAY - 3 * DAY, 40],
    [TODAY - DAY, 1],
  ])

  it('rows that stay continue the bars in a stroke of their own, with a legend, and count as days too', () => {
    assert.deepEqual(linesOf(histogramText('title', days, style(44), kept)), [
      'title',
      '▇ would go  ░ kept by holds and rules',
      'earlier      0  on 1 day  5 kept',
      '2024-10-01  40  ▇▇▇▇▇▇▇▇▇▇░░░░░░░░░  40 kept',
      '2024-10-02  10  ▇▇',
      '2024-10-03   0  ░  1 kept',
      '',
    ])
  })

  it('without colours they can be told apart too, and no line is longer than the terminal', () => {
    const plain = histogramText('title', days, style(44, { control: false }), kept)
    assert.match(plain, /^# would go {2}- kept by holds and rules$/m)
    assert.match(plain, /^2024-10-01 {2}40 {2}#+-+ {2}40 kept$/m)
    for (const columns of [37, 45, 60, 80, 121])
      for (const line of linesOf(histogramText('title', days, style(columns), kept)))
        assert.ok(line.length <= columns, `${columns}: ${line}`)
  })
})

describe('rows deleted a day', () => {
  const noon = TODAY + 12 * HOUR
  const daily = deletedByDay(
    Array.from({ length: 30 }, (_, ago) => ({ job: 'purge-audit-logs', at: noon - ago * DAY, deleted: ago === 3 ? 2_000 : 1_000 })),
    noon,
    30,
  )

  it('the rows deleted a day are a chart with its sum, its scale and the day with the most', () => {
    const one = deletedByDay(
      [
        { job: 'purge-sessions', at: noon - DAY, deleted: 8 },
        { job: 'purge-sessions', at: noon, deleted: 4 },
      ],
      noon,
      3,
    )
    assert.deepEqual(linesOf(dayColumnsText(one, style(80))), [
      'rows deleted a day, 2024-10-02 to 2024-10-04 (UTC)',
      'purge-sessions  12 rows, most on 2024-10-03',
      '8 │   ██',
      '  │   ██',
      '  │   ██ ██',
      '  │   ██ ██',
      '0 └─────────',
      '',
    ])
  })

  it('the chart of days fits any terminal, with as many weeks per column as it takes', () => {
    for (const columns of [12, 20, 36, 37, 50, 80, 100, 120, 300]) {
      const [title = '', name = '', ...chart] = linesOf(dayColumnsText(daily, style(columns)))
      for (const line of chart) assert.ok(line.length <= columns, `${line.length} in ${columns}`)
      if (columns >= 36) for (const line of [title, name]) assert.ok(line.length <= columns, `${line.length} in ${columns}`)
      assert.match(title, columns < 37 ? /^rows deleted (a week|every \d weeks)/ : /^rows deleted a day/)
    }
    const weeks = linesOf(dayColumnsText(daily, style(80 - 50)))
    assert.deepEqual(weeks.slice(0, 4), [
      'rows deleted a week',
      'purge-audit-logs  31,000 rows',
      '8,000 │   ▄▄ ▄▄ ▄▄ ██',
      '      │   ██ ██ ██ ██',
    ])
  })

  it('the chart of days names the first day of all where the most is in a first column of fewer days', () => {
    const most = deletedByDay(
      [
        { job: 'purge-sessions', at: noon - 99 * DAY, deleted: 5 },
        { job: 'purge-sessions', at: noon, deleted: 1 },
      ],
      noon,
      100,
    )
    assert.deepEqual(linesOf(dayColumnsText(most, style(60))).slice(0, 2), [
      'rows deleted a week, 2024-06-27 to 2024-10-04 (UTC)',
      'purge-sessions  6 rows, most from 2024-06-27',
    ])
  })

  it('the chart of days has the jobs in the order of the catalogue, unknown ones last, and a line for a job that deleted nothing', () => {
    const jobs = ['of-before', 'purge-sessions', 'purge-audit-logs']
    const many = deletedByDay(
      [
        ...jobs.map((job) => ({ job, at: noon, deleted: job === 'purge-sessions' ? 0 : 1 })),
        { job: 'of-before', at: noon - DAY, deleted: 2 },
      ],
      noon,
      2,
    )
    const names = linesOf(dayColumnsText(many, style(80))).filter((line) => line.includes('-') && !line.startsWith('rows'))
    assert.deepEqual(names, ['purge-audit-logs  1 row, on 2024-10-04', 'purge-sessions  nothing', 'of-before  3 rows, most on 2024-10-03'])
  })

  it('is nothing where no job deleted anything on more than one day, as one bar compares nothing', () => {
    const jobs = ['purge-sessions', 'purge-audit-logs'].map((job, ago) => ({ job, at: noon - ago * DAY, deleted: 5 }))
    assert.equal(dayColumnsText(deletedByDay(jobs, noon, 30), style(80)), '')
  })

  it('the chart of days is plain with NO_COLOR and without a UTF-8 locale, and absent off a terminal or without runs', () => {
    for (const changes of [{ control: false }, { control: false, unicode: false }])
      assert.match(dayColumnsText(daily, style(80, changes)), /^[ -~\n]+$/)
    assert.equal(dayColumnsText(daily, style(Infinity)), '')
    assert.equal(dayColumnsText(deletedByDay([], noon, 30), style(80)), '')
  })
})
