import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { scheduleProblem } from '../../src/schedule/expression.ts'
import { inWords } from '../../src/schedule/in-words.ts'

describe('a schedule in words', () => {
  const words: Readonly<Record<string, string>> = {
    '0 3 * * *': 'At 03:00',
    '*/15 * * * *': 'Every 15 minutes',
    '@daily': 'At 00:00',
    '@Weekly': 'At 00:00, only on Sunday',
    '*/10 * * * * *': 'Every 10 seconds',
    '0 22-2 * * *': 'Every hour, between 22:00 and 02:00',
    '30 4 1,15 * *': 'At 04:30, on day 1 and 15 of the month',
    '0 0 * * 7': 'At 00:00, only on Sunday',
    '0 0 * * fridayL': 'At 00:00, on the last Friday of the month',
    '0 0 * * 1#2': 'At 00:00, on the second Monday of the month',
    '0 0 L * *': 'At 00:00, on the last day of the month',
  }
  for (const [expression, expected] of Object.entries(words)) {
    it(`${expression} is "${expected}"`, () => {
      assert.equal(scheduleProblem(expression), undefined)
      assert.equal(inWords(expression), expected)
    })
  }

  it('every name that a schedule may spell out is understood', () => {
    const months = [
      'January',
      'February',
      'March',
      'April',
      'May',
      'June',
      'July',
      'August',
      'September',
      'October',
      'November',
      'December',
    ]
    for (const month of months) assert.equal(inWords(`0 0 1 ${month} *`), `At 00:00, on day 1 of the month, only in ${month}`)
    for (const day of ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'])
      assert.equal(inWords(`0 0 * * ${day}`), `At 00:00, only on ${day}`)
  })

  it('an expression that cannot be put into words stays as it is', () => {
    assert.equal(inWords('nonsense'), 'nonsense')
  })
})
