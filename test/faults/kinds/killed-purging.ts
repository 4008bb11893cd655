import { setTimeout as sleep } from 'node:timers/promises'
import { events } from '../../support/command.ts'
import { ENGINES } from '../../support/engines.ts'
import type { Arena } from '../arena.ts'
import { onEach, type Fault, type Round } from '../fault.ts'
import { SUBJECTS, type Subject } from '../subjects.ts'
import { must } from '../violation.ts'

const ROWS = { go: 4_000, stay: 400 }
/** Each kill leaves a lease that is waited for: the three jobs are killed one after the other and wait together. */
const WAVES = 2
const MOST_TRIES = 6

/** SIGKILL at a random moment of a purge; the next run of the job has its lease within 15 s and goes on. */
export const killedPurging: Fault = {
  name: 'killed-purging',
  rounds: (full) => onEach(ENGINES, full ? 9 : 1),
  async run(round) {
    const arena = await round.arena()
    await arena.truth.write(SUBJECTS, ROWS.go, ROWS.stay)
    const measured = await arena.run(['--run-now'])
    must(measured.code === 0, `the undisturbed run exits ${measured.code}`)
    const durations = new Map(events(measured, 'job.finished').map((line) => [line['job'], Number(line['durationMs'])]))
    for (let wave = 0; wave < WAVES; wave += 1) {
      for (const subject of SUBJECTS) await killOne(round, arena, subject, durations.get(subject.job.name)!)
      await arena.leasesFree()
    }
    await arena.settle()
  },
}

async function killOne(round: Round, arena: Arena, subject: Subject, durationMs: number): Promise<void> {
  let moment = round.random.fraction() * durationMs
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    await arena.truth.write([subject], ROWS.go, ROWS.stay)
    const worker = arena.runJob(subject)
    await worker.line((line) => line['event'] === 'migrations.current')
    await sleep(moment)
    if (await arena.kill(worker)) {
      round.injected()
      const line = events(await worker.ended, 'job.finished')[0]
      must(line?.['outcome'] !== 'skipped', `${subject.job.name} was still held: ${String(line?.['reason'])}`)
      return
    }
    // It was done before: sooner, then.
    moment *= 0.6
  }
  must(false, `${MOST_TRIES} runs of ${subject.job.name} ended before they could be killed`)
}
