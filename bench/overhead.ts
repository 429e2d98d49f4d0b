/** Prints what a record costs beyond its frame: the table in docs/record-format.md. */
import { createRecordsBatch, type MessageRecord } from '@platformatic/kafka'
import { encodeEntry } from '../src/log/record.ts'
import { micros, millis, type Offset, trackName } from '../src/units.ts'

const hour = 80 * 3600

const frames = [
  { name: 'video, delta, 1.5 Mb/s at 30/s', track: 'video', bytes: 6250, duration: 33_333, keyframe: false },
  { name: 'video, delta, 300 kb/s at 30/s', track: 'video', bytes: 1250, duration: 33_333, keyframe: false },
  { name: 'sound, 64 kb/s at 50/s', track: 'audio', bytes: 160, duration: 20_000, keyframe: true },
] as const

function message({ track, bytes, duration, keyframe }: (typeof frames)[number]): MessageRecord {
  const record = encodeEntry(
    {
      kind: 'frame',
      epoch: 17 as Offset,
      session: 'k3f9a2zz',
      start: (hour * 2) as Offset,
      sequence: hour * 2,
      frame: {
        track: trackName(track),
        timestamp: micros(7_200_000_000),
        duration: micros(duration),
        capturedAt: millis(1_764_000_000_000),
        hops: { encoded: micros(5210), sent: micros(5470), received: micros(9120) },
        keyframe,
        data: new Uint8Array(bytes),
      },
    },
    millis(1_764_000_000_000),
  )
  return {
    topic: 'video-x',
    key: Buffer.from(record.key),
    value: Buffer.from(record.value),
    headers: new Map(record.headers.map(([name, value]) => [Buffer.from(name), Buffer.from(value)])),
    timestamp: BigInt(record.timestamp),
  }
}

const own = ({ key, headers }: MessageRecord): number => {
  let bytes = key?.byteLength ?? 0
  for (const [name, value] of headers ?? []) bytes += name.byteLength + value.byteLength
  return bytes
}

for (const frame of frames) {
  const one = message(frame)
  const single = createRecordsBatch([one]).length - frame.bytes
  const ten = createRecordsBatch(Array.from({ length: 10 }, () => message(frame))).length / 10 - frame.bytes
  const percent = (bytes: number): string =>
    `${Math.round(bytes)} (${((100 * bytes) / frame.bytes).toFixed(1)} %)`
  console.log(
    `| ${frame.name} | ${frame.bytes} | ${percent(own(one))} | ${percent(single)} | ${percent(ten)} |`,
  )
}
