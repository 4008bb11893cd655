/** Times from `from` to before `to` at which a survey has found no free row; `null`: up to the cutoff. */
export interface Stretch {
  readonly from: string
  readonly to: string | null
}

/** In order of the time, neighbours joined. */
export class Stretches {
  readonly joined: Stretch[] = []

  add({ from, to }: Stretch): void {
    if (from === to) return
    const last = this.joined.at(-1)
    if (last?.to === from) this.joined[this.joined.length - 1] = { from: last.from, to }
    else this.joined.push({ from, to })
  }
}
