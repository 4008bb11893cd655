import { setImmediate as turn } from 'node:timers/promises'

/** The most bytes that may wait; beyond that the server has to. */
const WAITING_BYTES = 16 * 2 ** 20

/** A queue for pieces that arrive faster than they are processed, so that the connection is free as soon as the server has sent them. */
export class Spool {
  readonly #work: (piece: Buffer) => Promise<void>
  readonly #pieces: Buffer[] = []
  #bytes = 0
  #working: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(work: (piece: Buffer) => Promise<void>) {
    this.#work = work
  }

  /** Resolves when the next piece may be added; rejects with the error of the processing. */
  async put(piece: Buffer): Promise<void> {
    this.#pieces.push(piece)
    this.#bytes += piece.length
    this.#working ??= this.#workOff()
    if (this.#failure !== undefined || this.#bytes > WAITING_BYTES) await this.emptied()
  }

  /** Resolves when everything that was added has been processed; rejects with the error of that. */
  async emptied(): Promise<void> {
    await this.#working
    if (this.#failure !== undefined) throw this.#failure.error
  }

  async #workOff(): Promise<void> {
    try {
      for (let piece = this.#pieces.shift(); piece !== undefined && this.#failure === undefined; piece = this.#pieces.shift()) {
        await this.#work(piece)
        this.#bytes -= piece.length
        // Lets other events be handled, such as those of the connection.
        await turn()
      }
    } catch (error) {
      this.#failure ??= { error }
    } finally {
      this.#working = undefined
    }
  }
}
