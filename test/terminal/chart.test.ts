import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { bars, strokesOf, uprightBars } from '../../src/terminal/chart.ts'

const TERMINAL = { control: true, unicode: true, columns: 80 }
const BLOCKS = strokesOf(TERMINAL)!
const PLAIN = strokesOf({ ...TERMINAL, control: false })!

describe('what a chart is drawn with', () => {
  it('charts use blocks on a terminal, plain characters without colours or without such a locale, and are not drawn elsewhere', () => {
    assert.match(BLOCKS.rightwards + BLOCKS.upwards, /^[\u2581-\u258F]+$/)
    assert.match(PLAIN.rightwards + PLAIN.upwards, /^[!-~]+$/)
    assert.deepEqual(strokesOf({ ...TERMINAL, unicode: false }), PLAIN)
    assert.equal(strokesOf({ ...TERMINAL, columns: Infinity }), undefined)
  })
})

describe('bars', () => {
  it('bars are as long as their values are large, to the smallest step of a character', () => {
    assert.deepEqual(bars([8, 4, 3, 1], 2, BLOCKS.upwards), ['██', '█', '▆', '▂'])
    assert.deepEqual(bars([8, 4, 3, 1], 8, BLOCKS.rightwards), ['▇▇▇▇▇▇▇▇', '▇▇▇▇', '▇▇▇', '▇'])
    assert.deepEqual(bars([8, 4, 3, 1], 4, PLAIN.rightwards), ['####', '##', '##', '#'])
  })

  it('one value gives a full bar, zeros give empty bars, and no value gives none', () => {
    assert.deepEqual(bars([3], 5, BLOCKS.rightwards), ['▇▇▇▇▇'])
    assert.deepEqual(bars([0, 0], 5, BLOCKS.rightwards), ['', ''])
    assert.deepEqual(bars([], 5, BLOCKS.rightwards), [])
  })

  it('a tiny value beside a huge one is visible, and zero never is', () => {
    assert.deepEqual(bars([Number.MAX_VALUE, 1, 0], 3, BLOCKS.rightwards), ['▇▇▇', '▇', ''])
    assert.deepEqual(bars([Number.MAX_SAFE_INTEGER, 1, 0], 3, PLAIN.rightwards), ['###', '#', ''])
  })

  it('bars are left out if there is no room', () => {
    for (const room of [0, -7]) assert.deepEqual(bars([3, 1], room, BLOCKS.rightwards), ['', ''])
  })

  it('bars stay within their room, keep the order of their values, and the largest fills it', () => {
    const values = fc.array(fc.nat({ max: Number.MAX_SAFE_INTEGER }), { minLength: 1, maxLength: 40 })
    const filling = fc.constantFrom(BLOCKS.rightwards, BLOCKS.upwards, PLAIN.rightwards, PLAIN.upwards)
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 200 }), filling, (some, room, characters) => {
        const drawn = bars(some, room, characters)
        const lengths = drawn.map((bar) => steps(bar, characters))
        const most = Math.max(...some)
        for (const [at, value] of some.entries()) {
          assert.equal(lengths[at] === 0, value === 0)
          assert.ok(drawn[at]!.length <= room)
          if (value === most && value > 0) assert.equal(lengths[at], room * characters.length)
          for (const [other, less] of some.entries()) if (less <= value) assert.ok(lengths[other]! <= lengths[at]!)
        }
      }),
    )
  })
})

describe('upright bars', () => {
  it('upright bars stand side by side, with lines from the top down', () => {
    assert.deepEqual(uprightBars([16, 8, 1, 0, 12], 2, BLOCKS.upwards), ['█   ▄', '██▁ █'])
    assert.deepEqual(uprightBars([6, 3, 1, 0, 5], 2, PLAIN.upwards), ['#   :', '##. #'])
  })

  it('no values give empty lines', () => {
    assert.deepEqual(uprightBars([], 2, BLOCKS.upwards), ['', ''])
  })
})

/** How much of a bar is filled, in the smallest step. */
function steps(bar: string, filling: string): number {
  return [...bar.matchAll(/./g)].reduce((sum, [character]) => sum + filling.indexOf(character) + 1, 0)
}
