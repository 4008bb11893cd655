import { setTimeout as sleep } from 'node:timers/promises'
import { freshFolder } from '../../archive/support.ts'
import { events } from '../../support/command.ts'
import { ENGINES } from '../../support/engines.ts'
import { ARCHIVED, mustBeArchivedOnce } from '../archived-once.ts'
import { isSqlite } from '../dialect.ts'
import { onEach, type Fault } from '../fault.ts'
import { replicated } from '../replicated.ts'
import { SUBJECTS } from '../subjects.ts'
import { must } from '../violation.ts'

const ROWS = { go: 3_000, stay: 400 }
const WITHIN_MS = 2_500

/**
 * A standby that has heard nothing for a while is promoted: rows that were archived and deleted are back. The purge stops, `archive reconcile` is the
 * way on, and in the end each row that could go is in exactly one file.
 */
export const staleReplica: Fault = {
  name: 'stale-replica',
  rounds: (full) =>
    onEach(
      ENGINES.filter((engine) => !isSqlite(engine)),
      full ? 4 : 1,
    ),
  async run(round) {
    const { random } = round
    await using folder = await freshFolder()
    await using servers = await replicated(round.engine)
    const { pair, link, database } = servers
    const env = { ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: folder.path }
    const arena = await round.arena({ database })
    const purge = () => arena.runJob(ARCHIVED, { env })

    await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
    // In half of the rounds the replica knows of an archive, and in the others it has never heard of one.
    if (random.fraction() < 0.5) must((await purge().ended).code === 0, 'a purge that archives fails undisturbed')
    await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
    await pair.caughtUp()
    await pair.cutReplication()

    const running = purge()
    const killed = random.fraction() < 0.5
    if (killed) {
      await running.line((line) => line['event'] === 'migrations.current')
      await sleep(random.fraction() * WITHIN_MS)
      await arena.kill(running)
    } else must((await running.ended).code === 0, 'a purge that archives fails undisturbed')
    await pair.promoteStale()
    link.leadTo(pair.primaryUrl)
    round.injected()

    const backMs = Date.now()
    const stopped = await purge().ended
    const [finished] = events(stopped, 'job.finished')
    const ahead = /files in .* are of runs that this database knows nothing of/.test(String(finished?.['msg']))
    must(stopped.code === 0 || ahead, `after the promotion the purge ends with exit ${stopped.code}: ${String(finished?.['msg'])}`)
    if (!killed) must(ahead, 'the purge goes on although the archive is ahead of the database')
    if (ahead) {
      must(Number(finished?.['deleted']) === 0, 'a purge that stops for an archive ahead of the database has deleted rows')
      for (const words of [
        ['archive', 'reconcile', '--dry-run'],
        ['archive', 'reconcile'],
      ]) {
        const reconciled = await arena.run(words, { env })
        must(reconciled.code === 0, `${words.join(' ')} exits ${reconciled.code} after ${Date.now() - backMs} ms: ${reconciled.stderr}`)
      }
    }
    await arena.settle({ env })
    await mustBeArchivedOnce(arena, folder.path, env)
  },
}
