import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openEvents, type Events } from '../../src/observe/events.ts'
import { fanOut } from '../../src/observe/fan-out.ts'
import { openLog } from '../../src/observe/log.ts'
import { hostClock } from '../../src/time/clock.ts'

async function silent(): Promise<Events> {
  return openEvents(
    await openLog({
      level: 'silent',
      format: 'json',
      descriptor: 1,
      terminal: false,
      columns: () => Infinity,
      coloured: false,
      clock: hostClock(),
    }),
  )
}

test('every event reaches every listener, in order and with all its arguments', async () => {
  const heard: unknown[] = []
  const first = await silent()
  const events = fanOut(
    { ...first, jobPaused: (...fields) => void heard.push(['first', ...fields]) },
    { jobPaused: (...fields) => void heard.push(['second', ...fields]) },
    { note: (message) => void heard.push(message) },
  )
  events.jobPaused('purge-sessions', 12, 'polite')
  events.note('a note')
  events.warning('nobody else listens to this')
  assert.deepEqual(heard, [['first', 'purge-sessions', 12, 'polite'], ['second', 'purge-sessions', 12, 'polite'], 'a note'])
  assert.deepEqual(Object.keys(events), Object.keys(first))
})

test('a fan-out can be combined with one more listener', async () => {
  const heard: string[] = []
  const inner = fanOut(await silent(), { note: () => void heard.push('inner') })
  fanOut(inner, { note: () => void heard.push('outer') }).note('once')
  assert.deepEqual(heard, ['inner', 'outer'])
})
