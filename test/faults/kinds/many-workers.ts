import { setTimeout as sleep } from 'node:timers/promises'
import { ENGINES } from '../../support/engines.ts'
import { EVERY_SECOND } from '../arena.ts'
import { onEach, type Fault } from '../fault.ts'
import { checkJournal, startGateway } from '../gateway-process.ts'
import { SUBJECTS } from '../subjects.ts'
import { isSqlite } from '../dialect.ts'
import { must } from '../violation.ts'

const WORKERS = 5
const KILLS = 6
const MOST_BETWEEN_MS = 2_500
const ROWS = { go: 5_000, stay: 500 }

/** Five workers on one database, one after the other killed and started again, while the gateway writes, renews sessions and reads. */
export const manyWorkers: Fault = {
  name: 'many-workers',
  rounds: (full) => onEach(ENGINES, full ? 20 : 2),
  async run(round) {
    const { random } = round
    const arena = await round.arena()
    // The gateway itself leaves the mode of a new file as SQLite has it; its operators often choose the write-ahead log.
    if (isSqlite(arena.engine)) await arena.database.sql(`PRAGMA journal_mode = ${random.pick(['delete', 'wal'])}`)
    await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
    await using gateway = await startGateway(arena.database.url, random.whole(0, 1_000_000))
    const start = () => arena.start([], { env: EVERY_SECOND })
    const workers = Array.from({ length: WORKERS }, start)
    for (let kill = 0; kill < KILLS; kill += 1) {
      await sleep(random.fraction() * MOST_BETWEEN_MS)
      const at = random.whole(0, WORKERS - 1)
      if (await arena.kill(workers[at]!)) round.injected()
      workers[at] = start()
    }
    await Promise.all(workers.map((worker) => worker.line((line) => line['event'] === 'job.finished')))
    const journal = await gateway.stop()
    for (const worker of workers) worker.kill('SIGTERM')
    for (const worker of workers) {
      const ended = await worker.ended
      must(ended.code === 0, `a worker that was told to stop ended with ${ended.signal ?? `exit ${ended.code}`}`)
    }
    await arena.settle()
    await checkJournal(arena, journal)
    round.operated(journal)
  },
}
