/** A long recording, as a gateway would have written it: pictures and sound of some bitrate, at their times in the past. */
import type { Log, NewRecord, Topic } from '../../src/log/log.ts'
import { encodeEntry, type WrittenEntry } from '../../src/log/record.ts'
import { encodeCatalog } from '../../src/media/catalog.ts'
import { type Millis, micros, type Offset, trackName } from '../../src/units.ts'
import { testCatalog } from '../../test/support/clients.ts'

export const shape = {
  pictures: { rate: 30, bytes: 950, gop: 60 },
  sounds: { rate: 50, bytes: 160 },
} as const

/** Bits a second, headers left out: 300 kb/s. */
export const bitrate =
  8 * (shape.pictures.rate * shape.pictures.bytes + shape.sounds.rate * shape.sounds.bytes)

const session = 'recorded'
const [video, audio] = [trackName('video'), trackName('audio')]
/** Appends that are under way at a time. */
const underWay = 8

/** Writes seconds `from` to `to` of it. @param begin wall clock of the first second, milliseconds */
export async function record(log: Log, topic: Topic, begin: number, seconds: number): Promise<void> {
  const catalog = encodeCatalog(testCatalog)
  const picture = new Uint8Array(shape.pictures.bytes).fill(1)
  const sound = new Uint8Array(shape.sounds.bytes).fill(2)
  let offset = 0
  let sequence = 0
  let start = 0 as Offset
  const epoch = 0 as Offset
  let batch: NewRecord[] = []
  const add = (entry: WrittenEntry, at: number): void => {
    batch.push(encodeEntry(entry, Math.round(at) as Millis))
    offset += 1
  }
  add(
    { kind: 'session', session, resumeHash: 'f'.repeat(64), nonce: 'n'.repeat(16), gateway: 'bench' },
    begin,
  )
  const waiting = new Set<Promise<unknown>>()
  for (let second = 0; second < seconds; second++) {
    let [p, s] = [0, 0]
    while (p < shape.pictures.rate || s < shape.sounds.rate) {
      const [pictureAt, soundAt] = [p / shape.pictures.rate, s / shape.sounds.rate]
      const isPicture = p < shape.pictures.rate && (s >= shape.sounds.rate || pictureAt <= soundAt)
      const at = second + (isPicture ? pictureAt : soundAt)
      const keyframe = !isPicture || (second * shape.pictures.rate + p) % shape.pictures.gop === 0
      if (isPicture && keyframe) {
        start = offset as Offset
        add({ kind: 'catalog', epoch, session, start, catalog }, begin + at * 1000)
      }
      const frame = {
        track: isPicture ? video : audio,
        timestamp: micros(at * 1_000_000),
        keyframe,
        data: isPicture ? picture : sound,
      }
      add({ kind: 'frame', epoch, session, start, sequence: sequence++, frame }, begin + at * 1000)
      if (isPicture) p += 1
      else s += 1
    }
    if (second % 4 !== 3 && second !== seconds - 1) continue
    const appended = log.append(topic, batch)
    batch = []
    waiting.add(appended)
    appended.finally(() => waiting.delete(appended)).catch(() => {})
    if (waiting.size >= underWay) await Promise.race(waiting)
  }
  await Promise.all(waiting)
}
