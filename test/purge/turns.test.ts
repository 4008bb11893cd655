import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as moment } from 'node:timers/promises'
import { Turns } from '../../src/purge/turns.ts'

test('turns are taken one at a time, first come, first served, also after one that fails', async () => {
  const turns = new Turns()
  const order: string[] = []
  const taken = (name: string, fails = false): Promise<void> =>
    turns.take(async () => {
      order.push(`${name} begins`)
      await moment()
      order.push(`${name} ends`)
      if (fails) throw new Error(name)
    })
  const all = await Promise.allSettled([taken('a'), taken('b', true), taken('c')])
  assert.deepEqual(
    all.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.deepEqual(order, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})

test('whoever goes on at once after a turn comes after those who wait, and so does whoever passes', async () => {
  const turns = new Turns()
  const order: string[] = []
  const busy = async (): Promise<void> => {
    for (let at = 0; at < 3; at += 1)
      await turns.take(async () => {
        order.push(`busy ${at}`)
        await moment()
      })
  }
  const passing = turns.take(async () => {
    order.push('long')
    await moment()
    await turns.pass()
    order.push('long again')
  })
  await Promise.all([passing, busy(), turns.take(async () => void order.push('other'))])
  assert.deepEqual(order, ['long', 'busy 0', 'other', 'long again', 'busy 1', 'busy 2'])
})

test('if nobody waits, passing goes on at once', async () => {
  const turns = new Turns()
  assert.equal(await turns.take(() => turns.pass().then(() => 7)), 7)
})
