import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { validate } from 'node-cron'
import { JOBS } from '../../src/catalogue.ts'
import { fieldsOf, scheduleProblem } from '../../src/schedule/expression.ts'
import { slotsOf } from '../../src/schedule/slots.ts'

const nextRun = (expression: string): number | undefined => slotsOf(expression, 'UTC').after(Date.UTC(2026, 4, 5))

const REFUSED: readonly [expression: string, why: RegExp][] = [
  ['', /0 fields/],
  ['   ', /0 fields/],
  ['* * * *', /4 fields/],
  ['* * * * * * *', /7 fields/],
  ['@reboot', /@hourly, @daily, .*@annually/],
  ['@constructor', /@hourly/],
  ['@daily 3', /@hourly/],
  ['61 * * * *', /minute "61" is not within 0 to 59/],
  ['60 0 * * * *', /second "60"/],
  ['0 24 * * *', /hour "24" is not within 0 to 23/],
  ['0 25-3 * * *', /hour "25-3" is not within/],
  ['0 0 0 * *', /day of month "0"/],
  ['0 0 32 * *', /day of month "32"/],
  ['0 0 * 13 *', /month "13"/],
  ['0 0 * * 8', /weekday "8"/],
  ['-5 * * * *', /cannot be read/],
  ['1.5 * * * *', /cannot be read/],
  ['1,,2 * * * *', /minute "" cannot be read/],
  ['* * * foo *', /month "foo" cannot be read/],
  ['* * * * fooday', /weekday "fooday" cannot be read/],
  ['mon * * * *', /minute "mon" cannot be read/],
  ['? * * * *', /minute "\?" cannot be read/],
  ['L * * * *', /cannot be read/],
  ['0 0 L-31 * *', /cannot be read/],
  ['0 0 0W * *', /cannot be read/],
  ['0 0 1-5W * *', /cannot be read/],
  ['0 0 * * L', /cannot be read/],
  ['0 0 * * 5#6', /cannot be read/],
  ['1/2 * * * *', /steps from a single value/],
  ['*/0 * * * *', /step of 0/],
  ['*/90 * * * *', /steps further than it reaches: the step can be 59 at most/],
  ['*/60 * * * *', /steps further/],
  ['0 */24 * * *', /the step can be 23 at most/],
  ['0 10-20/15 * * *', /the step can be 10 at most/],
  ['0 22-2/5 * * *', /the step can be 4 at most/],
  ['0 0 13 * 5', /both day of month and weekday/],
  ['0 0 */2 * MON', /both/],
  ['0 0 1-31 * 5', /both/],
  ['0 0 31 2 *', /day of month "31" does not come in month "2"/],
  ['0 0 31 apr,jun,sep-nov/2 *', /does not come/],
  ['0 0 30-31 feb *', /does not come/],
  ['0 0 L-30 4 *', /does not come/],
  ['0 0 31W 6 *', /does not come/],
  ['61 24 * * *', /minute "61".*; hour "24"/],
]

for (const [expression, why] of REFUSED)
  test(`the schedule ${JSON.stringify(expression)} is refused`, () => {
    assert.match(scheduleProblem(expression) ?? 'accepted', why)
  })

const ACCEPTED = [
  ...JOBS.map((job) => job.schedule),
  '* * * * * *',
  '*/30 * * * * *',
  '  0   3 * * *  ',
  '0\t3 * * *',
  '@hourly',
  '@daily',
  '@midnight',
  '@weekly',
  '@monthly',
  '@yearly',
  '@annually',
  ' @HOURLY ',
  '*/59 * * * *',
  '0 22-2 * * *',
  '0 22-2/2 * * *',
  '05 03 * * *',
  '0,15,30-45/5 * * * *',
  '0 0 ? * MON',
  '0 0 1 * ?',
  '0 0 */1 * fri',
  '0 0 13 * */1',
  '0 0 * jan-mar,December *',
  '0 0 * nov-feb *',
  '0 0 * * mon-FRI',
  '0 0 * * fri-mon',
  '0 0 * * 5-7',
  '0 0 * * 7-2',
  '0 0 * * 7',
  '0 0 * * 5L',
  '0 0 * * friL',
  '0 0 * * wedL',
  '0 0 * * mon#2',
  '0 0 L * *',
  '0 0 LW * *',
  '0 0 L-3 * *',
  '0 0 15W * *',
  '0 0 29 2 *',
  '0 0 31 2-3 *',
  '0 0 30-1 2 *',
  '0 0 L-28 2 *',
]

for (const expression of ACCEPTED)
  test(`the schedule ${JSON.stringify(expression)} is accepted, by node-cron too, and has a next run`, () => {
    assert.equal(scheduleProblem(expression), undefined)
    assert.equal(validate(fieldsOf(expression).join(' ')), true)
    assert.ok(nextRun(expression) !== undefined)
  })

const number = fc.integer({ min: 0, max: 62 }).map(String)
const token = fc.oneof(
  fc.constantFrom('*', '?', 'L', 'LW', 'mon', 'sunday', 'jan', 'dec', '5L', '2#3', 'L-2', '10W', '*/2', '*/5', '', 'x'),
  number,
  fc.tuple(number, number).map(([from, to]) => `${from}-${to}`),
  fc.tuple(number, number, number).map(([from, to, step]) => `${from}-${to}/${step}`),
)
const field = fc.oneof({ weight: 3, arbitrary: fc.constant('*') }, { weight: 2, arbitrary: token }, fc.tuple(token, token).map(String))

test('whatever is accepted node-cron accepts too, and it has a next run', () => {
  let accepted = 0
  fc.assert(
    fc.property(fc.array(field, { minLength: 5, maxLength: 6 }), (fields) => {
      const expression = fields.join(' ')
      if (scheduleProblem(expression) !== undefined) return
      accepted += 1
      assert.equal(validate(fieldsOf(expression).join(' ')), true)
      assert.ok(nextRun(expression) !== undefined)
    }),
    { numRuns: 1_500 },
  )
  assert.ok(accepted > 50, `only ${accepted} accepted`)
})
