import type { OpenHandle } from './guarded-tree.ts'
import type { OpenFile } from './store.ts'

/** Bytes to read at a time. */
const CHUNK_BYTES = 2 ** 18

/** Reads through the open handle: replacing the file under its name has no effect. */
export function openFile(opened: OpenHandle): OpenFile {
  return {
    bytes: opened.bytes,
    chunks: (how) => bytesOf(opened, how === 'reused' ? Buffer.allocUnsafeSlow(CHUNK_BYTES) : undefined),
    close: () => opened.handle.close(),
  }
}

async function* bytesOf({ handle, bytes }: OpenHandle, reused: Buffer | undefined): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes;) {
    const chunk = reused ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
    const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, bytes - at), at)
    if (bytesRead === 0) return
    at += bytesRead
    yield chunk.subarray(0, bytesRead)
  }
}
