import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { ENGINES } from '../../support/engines.ts'
import { fileOf, isSqlite } from '../dialect.ts'
import { onEach, type Fault } from '../fault.ts'
import { subjectOf } from '../subjects.ts'
import { must, mustNot } from '../violation.ts'
import { A_TRANSACTION } from '../wal-writer.ts'

const WRITER = fileURLToPath(new URL('../wal-writer.ts', import.meta.url))
const WITHIN_MS = 600

/** A writer is killed and leaves its log: what it committed is there for the worker, what it did not commit is not. */
export const leftWal: Fault = {
  name: 'left-wal',
  rounds: (full) => onEach(ENGINES.filter(isSqlite), full ? 10 : 1),
  async run(round) {
    const arena = await round.arena()
    const file = fileOf(arena.database)
    const sessions = subjectOf('sessions')
    const writer = fork(WRITER, [file])
    let told = 0
    writer.on('message', (transaction) => (told = Number(transaction)))
    await once(writer, 'message')
    await sleep(round.random.fraction() * WITHIN_MS)
    writer.kill('SIGKILL')
    await once(writer, 'close')
    must(existsSync(`${file}-wal`), 'the writer left no log')
    round.injected()

    const ended = await arena.runJob(sessions).ended
    must(ended.code === 0, `with a log left by a killed writer the run exits ${ended.code}`)
    const [kept] = await arena.database.sql<{ n: number }>('SELECT count(*) AS n FROM sessions')
    // The last may have been committed and not told of any more.
    const committed = kept!.n / A_TRANSACTION.stay
    mustNot('rows lost', Math.max(0, told * A_TRANSACTION.stay - kept!.n), `${told} transactions were told of, ${kept!.n} rows are kept`)
    must(committed === told || committed === told + 1, `${told} transactions were told of, and there are ${kept!.n} rows`)
    arena.truth.note(sessions, 'go', committed * A_TRANSACTION.go)
    arena.truth.note(sessions, 'stay', committed * A_TRANSACTION.stay)
    await arena.settle()
  },
}
