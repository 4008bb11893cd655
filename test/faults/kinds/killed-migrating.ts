import { setTimeout as sleep } from 'node:timers/promises'
import { ENGINES } from '../../support/engines.ts'
import type { Running } from '../../support/command.ts'
import { NO_SCHEDULE, type Arena } from '../arena.ts'
import { onEach, type Fault } from '../fault.ts'
import { SUBJECTS } from '../subjects.ts'
import { must } from '../violation.ts'

const KILLS = 5
/** Of a database whose migrations ended before the kill came, another is taken, and the moment is brought forward. */
const MOST_DATABASES = 12

/** SIGKILL at a random moment of the migrations; killed again while it goes on from there, until one worker gets through. */
export const killedMigrating: Fault = {
  name: 'killed-migrating',
  rounds: (full) => onEach(ENGINES, full ? 10 : 1),
  async run(round) {
    const measured = await round.arena({ empty: true })
    const durationMs = await migratingMs(measured)
    let earlier = 1
    let kills = 0
    for (let databases = 0; kills < KILLS; databases += 1) {
      must(databases < MOST_DATABASES, `only ${kills} of ${KILLS} kills met a migrating worker`)
      const arena = await round.arena({ empty: true })
      for (let migrated = false; !migrated && kills < KILLS;) {
        const worker = arena.start([], { env: NO_SCHEDULE })
        await worker.line((line) => line['event'] === 'worker.started')
        await sleep(round.random.fraction() * durationMs * earlier)
        // No lease is held yet that would have to be waited for.
        worker.kill('SIGKILL')
        migrated = (await worker.ended).lines.some((line) => line['event'] === 'migrations.current')
        if (!migrated) kills += 1
        else earlier *= 0.7
      }
      const ended = await arena.run(['migrate'])
      must(ended.code === 0, `migrate after the kills exits ${ended.code}`)
      await arena.truth.watch()
      await arena.truth.write(SUBJECTS, 20, 20)
      await arena.settle()
    }
    round.injected(kills)
  },
}

async function migratingMs(arena: Arena): Promise<number> {
  const worker: Running = arena.start([], { env: NO_SCHEDULE })
  const started = await worker.line((line) => line['event'] === 'worker.started')
  const current = await worker.line((line) => line['event'] === 'migrations.current')
  worker.kill('SIGTERM')
  await worker.ended
  return Date.parse(String(current['time'])) - Date.parse(String(started['time']))
}
