import { setTimeout as sleep } from 'node:timers/promises'
import { ENGINES } from '../../support/engines.ts'
import { events } from '../../support/command.ts'
import { endDaemon, startDaemon, worksAfter } from '../daemon.ts'
import { isSqlite } from '../dialect.ts'
import { onEach, type Fault } from '../fault.ts'
import { replicated } from '../replicated.ts'
import { SUBJECTS } from '../subjects.ts'
import { must } from '../violation.ts'

const FAULTS = { full: 6, tenth: 3 }
const WITHIN_MS = 1_500
/** How long the address leads to the standby. */
const ASTRAY_MS = 3_000
/** Between two tries to connect the worker waits no longer than 5 s, and a run that began before ends soon after. */
const SOON_MS = 15_000
const ROWS = { go: 2_000, stay: 100 }
const ALL_JOBS = SUBJECTS.map(({ job }) => job.name)

/** The address leads to a standby for a while and back, or the two change places: no row is lost, and no run fails for longer than that takes. */
export const switchedOver: Fault = {
  name: 'switched-over',
  rounds: (full) =>
    onEach(
      ENGINES.filter((engine) => !isSqlite(engine)),
      full ? 3 : 1,
    ),
  async run(round) {
    const { random } = round
    await using servers = await replicated(round.engine)
    const { pair, link, database } = servers
    const arena = await round.arena({ database })
    const worker = await startDaemon(arena)
    const faults = round.full ? FAULTS.full : FAULTS.tenth
    const switches: { readonly fromMs: number; readonly toMs: number }[] = []
    for (let number = 1; number <= faults; number += 1) {
      await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
      await sleep(random.fraction() * WITHIN_MS)
      const fromMs = Date.now()
      // Every round has both, and the way back.
      if (number % 3 === 1) {
        link.leadTo(pair.standbyUrl)
        await sleep(random.fraction() * ASTRAY_MS)
      } else {
        await pair.switchOver()
        if (random.fraction() < 0.5) {
          link.leadTo(pair.standbyUrl)
          await sleep(random.fraction() * ASTRAY_MS)
        }
      }
      link.leadTo(pair.primaryUrl)
      const toMs = Date.now()
      round.injected()
      switches.push({ fromMs, toMs })
      await worksAfter(worker, toMs, ALL_JOBS)
    }
    // A loss when it goes, one when it comes back, and one of a connection that was being made.
    const ended = await endDaemon(worker, 3 * faults)
    for (const line of events(ended, 'job.finished').filter(({ outcome }) => outcome === 'failed')) {
      const atMs = Date.parse(String(line['time']))
      const during = switches.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs + SOON_MS)
      must(during, `a run failed when nothing was switched: ${String(line['msg'])}`)
    }
    await pair.caughtUp()
    await arena.settle()
  },
}
