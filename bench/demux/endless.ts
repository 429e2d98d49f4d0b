/** Streams without an end, out of recorded ones: the same frames again and again, at times that go on rising. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Chunks } from '../../src/container/chunks.ts'
import { childOf, children, peekBox, types } from '../../src/container/mp4/boxes.ts'
import { ids, peekHeader } from '../../src/container/webm/ebml.ts'

const folder = join(import.meta.dirname, '..', '..', 'test', 'fixtures', 'containers')
const read = (name: string): Buffer => readFileSync(join(folder, name))

/** A stretch of a recording whose time is set for each round. */
interface Patch {
  readonly begin: number
  readonly end: number
  readonly write: (round: number) => Uint8Array
}

interface Recording {
  readonly bytes: Uint8Array
  /** Where what comes once ends, and what comes in each round begins. */
  readonly start: number
  /** In order. */
  readonly patches: readonly Patch[]
  /** Ends of the pieces in which it comes, in order. */
  readonly cuts: readonly number[]
}

/** @param seconds of media. @returns pieces as they would come, about one each 20 ms */
export function* endless(name: EndlessName, seconds: number): Generator<Uint8Array> {
  const { recording, period } = endlessStreams[name]()
  const rounds = Math.ceil(seconds / period)
  for (let round = 0; round < rounds; round++) {
    let begin = round === 0 ? 0 : recording.start
    for (const end of recording.cuts) {
      if (end <= begin) continue
      yield cut(recording, begin, end, round)
      begin = end
    }
  }
}

/** A copy of what lies between two cuts, which fall into no patch. */
function cut({ bytes, patches }: Recording, begin: number, end: number, round: number): Uint8Array {
  const parts: Uint8Array[] = []
  let at = begin
  for (const patch of patches) {
    if (patch.begin < begin || patch.end > end) continue
    parts.push(bytes.subarray(at, patch.begin), patch.write(round))
    at = patch.end
  }
  parts.push(bytes.subarray(at, end))
  return Uint8Array.from(Buffer.concat(parts))
}

/** A cut that falls into a patch moves behind it. */
function outside(cuts: readonly number[], patches: readonly Patch[], end: number): number[] {
  const moved = cuts.map(cut => patches.find(({ begin, end }) => cut > begin && cut < end)?.end ?? cut)
  return [...new Set([...moved, end])].sort((a, b) => a - b)
}

/** MediaRecorder's WebM in the pieces in which it gave it. */
function webm(name: string, period: number): Recording {
  const bytes = read(name)
  const chunks = new Chunks()
  chunks.push(bytes)
  const patches: Patch[] = []
  let start = -1
  for (let at = 0; at < bytes.byteLength; ) {
    const header = peekHeader(chunks, at)
    if (typeof header === 'string') throw new Error(`${name} is damaged at byte ${at}`)
    const data = at + header.length
    if (header.id === ids.cluster && start < 0) start = at
    if (header.id === ids.timestamp) {
      const end = data + header.size
      const value = Number(`0x${bytes.toString('hex', data, end)}`)
      patches.push({ begin: at, end, write: round => timestamp(value + round * period * 1000) })
    }
    at = header.id === ids.segment || header.id === ids.cluster ? data : data + header.size
  }
  const pieces = (JSON.parse(read('pieces.json').toString()) as Record<string, number[]>)[name] ?? []
  let end = 0
  const cuts = pieces.map(size => (end += size))
  return { bytes, start, patches, cuts: outside(cuts, patches, bytes.byteLength) }
}

function timestamp(ticks: number): Uint8Array {
  const element = new Uint8Array(6)
  element.set([ids.timestamp, 0x84])
  new DataView(element.buffer).setUint32(2, ticks)
  return element
}

/** Fragmented MP4 in pieces of as many bytes as 20 ms take. */
function mp4(name: string, period: number, timescales: ReadonlyMap<number, number>): Recording {
  const bytes = read(name)
  const patches: Patch[] = []
  const chunks = new Chunks()
  chunks.push(bytes)
  let start = -1
  let last = 0
  for (let at = 0; chunks.length > 0; ) {
    const header = peekBox(chunks)
    if (typeof header === 'string') throw new Error(`${name} is damaged at byte ${at}`)
    const data = at + header.length
    const end = data + header.size
    if (header.type === types.moof) {
      if (start < 0) start = at
      for (const { type, data: traf } of children(bytes.subarray(data, end))) {
        if (type === types.traf) patches.push(decodeTime(traf, bytes, period, timescales))
      }
    }
    // What stands behind the last mdat is an index of the whole file.
    if (header.type === types.mdat) last = end
    chunks.skip(header.length + header.size)
    at = end
  }
  const whole = bytes.subarray(0, last)
  const size = (last - start) / (period / 0.02)
  const cuts = Array.from({ length: Math.ceil(last / size) }, (_, i) =>
    Math.min(Math.round((i + 1) * size), last),
  )
  return { bytes: whole, start, patches, cuts: outside(cuts, patches, last) }
}

function decodeTime(
  traf: Uint8Array,
  whole: Uint8Array,
  period: number,
  timescales: ReadonlyMap<number, number>,
): Patch {
  const boxes = children(traf)
  const tfhd = childOf(boxes, types.tfhd)
  const tfdt = childOf(boxes, types.tfdt)
  if (tfhd === undefined || tfdt === undefined || tfdt[0] !== 1)
    throw new Error('A fragment has no time of 64 bits')
  const id = new DataView(tfhd.buffer, tfhd.byteOffset).getUint32(4)
  const ticks = period * (timescales.get(id) ?? 0)
  const time = new DataView(tfdt.buffer, tfdt.byteOffset).getBigUint64(4)
  const begin = tfdt.byteOffset - whole.byteOffset + 4
  return {
    begin,
    end: begin + 8,
    write: round => {
      const field = new Uint8Array(8)
      new DataView(field.buffer).setBigUint64(0, time + BigInt(Math.round(round * ticks)))
      return field
    },
  }
}

const timescalesOfFfmpeg = new Map([
  [1, 15_360],
  [2, 44_100],
])

export const endlessStreams = {
  'WebM of MediaRecorder': () => ({ recording: webm('chromium-vp8-opus.webm', 2.6), period: 2.6 }),
  'MP4, a fragment each frame': () => ({
    recording: mp4('ffmpeg-h264-aac-every-frame.mp4', 2.1, timescalesOfFfmpeg),
    period: 2.1,
  }),
} as const satisfies Record<string, () => { recording: Recording; period: number }>

export type EndlessName = keyof typeof endlessStreams
