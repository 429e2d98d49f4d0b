/**
 * Ingest: how long after its last byte has come in a frame of a stream goes out to a viewer, by container, beside the same
 * frames sent one by one over the publish socket. ffmpeg encodes and writes as it would to the gateway itself; what it writes
 * passes through here, where its time is noted.
 *   INGEST_SECONDS (20)   of each stream
 */
import { spawn } from 'node:child_process'
import { allFormats } from '../src/container/formats.ts'
import { packetBytes } from '../src/container/mpegts/demuxer.ts'
import { AnyDemuxer } from '../src/container/recognise.ts'
import type { Catalog } from '../src/media/catalog.ts'
import type { Frame } from '../src/media/frame.ts'
import { TestPublisher, TestViewer } from '../test/support/clients.ts'
import { startGateway } from '../test/support/gateway.ts'
import { Sender } from '../test/support/ingest.ts'

const seconds = Number(process.env.INGEST_SECONDS ?? 20)
/** Of the pictures. */
const rate = 30

const source = [
  ...['-re', '-f', 'lavfi', '-i', `testsrc2=s=640x360:r=${rate}:d=${seconds}`],
  ...['-re', '-f', 'lavfi', '-i', `sine=440:sample_rate=48000:d=${seconds}`],
]
const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '60', '-b:v', '1500k']
const aac = ['-c:a', 'aac']

const containers: Readonly<Record<string, readonly string[]>> = {
  FLV: ['-f', 'flv'],
  'Matroska, a cluster each frame': ['-f', 'matroska', '-cluster_time_limit', '1'],
  'MP4, a fragment each frame': ['-f', 'mp4', '-movflags', 'frag_every_frame+delay_moov+default_base_moof'],
  'MPEG-TS': ['-f', 'mpegts'],
  'MPEG-TS, lengths stated': ['-f', 'mpegts', '-omit_video_pes_length', '0', '-pes_payload_size', '0'],
}

interface Arrival {
  /** Bytes of the stream that were there then. */
  readonly end: number
  /** Of performance.now(). */
  readonly at: number
}

console.log(`| | frames | after the last byte p50 | p95 | p99 | max |`)
console.log(`|---|--:|--:|--:|--:|--:|`)
await using gateway = await startGateway({ LOG_LEVEL: 'error' })
let recorded: { catalog: Catalog; frames: readonly Frame[] } | undefined
for (const [index, [name, args]] of Object.entries(containers).entries()) {
  const id = `ingest-${index}`
  const viewer = await watch(id)
  const sender = new Sender(gateway.http, id)
  const arrivals: Arrival[] = []
  const chunks: Uint8Array[] = []
  let end = 0
  const ffmpeg = spawn(
    'ffmpeg',
    ['-v', 'error', ...source, ...h264, ...aac, ...args, '-flush_packets', '1', 'pipe:1'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  for await (const chunk of ffmpeg.stdout as AsyncIterable<Uint8Array>) {
    end += chunk.byteLength
    arrivals.push({ end, at: performance.now() })
    chunks.push(chunk)
    void sender.send(chunk)
  }
  sender.end()
  await sender.answer
  const stream = Buffer.concat(chunks)
  const { catalog, frames, ends } = lastBytes(stream)
  recorded ??= { catalog, frames }
  await viewer.got(frames.length)
  const times = frames.map((_, i) => {
    const come = arrivals.find(arrival => arrival.end >= (ends[i] ?? 0))
    return (viewer.times[i] ?? Number.NaN) - (come?.at ?? Number.NaN)
  })
  row(name, times)
  await viewer.close()
}
if (recorded !== undefined) await reference(recorded.catalog, recorded.frames)

/** The same frames over the publish socket, when they are due. */
async function reference(catalog: Catalog, frames: readonly Frame[]): Promise<void> {
  const viewer = await watch('ingest-reference')
  const publisher = await TestPublisher.connect(gateway.ws, 'ingest-reference', { catalog })
  const sent: number[] = []
  const begin = performance.now()
  const first = dueOf(frames[0])
  for (const frame of frames) {
    const wait = (dueOf(frame) - first) / 1000 - (performance.now() - begin)
    if (wait > 1) await new Promise(resolve => setTimeout(resolve, wait))
    sent.push(performance.now())
    publisher.publishFrames([frame])
  }
  await viewer.got(frames.length)
  row(
    'reference: frames over the publish socket',
    sent.map((at, i) => (viewer.times[i] ?? Number.NaN) - at),
  )
  await publisher.end()
  await viewer.close()
}

function dueOf(frame: Frame | undefined): number {
  return frame?.decodeTimestamp ?? frame?.timestamp ?? 0
}

/** A viewer that notes when each frame came. */
async function watch(id: string): Promise<{
  times: number[]
  got: (count: number) => Promise<void>
  close: () => Promise<void>
}> {
  const viewer = await TestViewer.connect(gateway.ws, id)
  const times: number[] = []
  viewer.on('change', () => {
    const now = performance.now()
    const { length } = viewer.frames()
    while (times.length < length) times.push(now)
  })
  return {
    times,
    async got(count) {
      while (times.length < count) await new Promise(resolve => viewer.once('change', resolve))
    },
    close: () => viewer.close(),
  }
}

/** For each frame, how many bytes of the stream there are up to its last one. */
function lastBytes(stream: Uint8Array): { catalog: Catalog; frames: Frame[]; ends: number[] } {
  const frames: Frame[] = []
  const ends: number[] = []
  let tracks: Catalog['tracks'] = []
  let at = 0
  const demuxer = new AnyDemuxer(
    {
      onTracks: announced => {
        tracks = announced
      },
      onFrame: frame => {
        frames.push(frame)
        ends.push(at)
      },
    },
    allFormats,
  )
  const isTransport = stream[0] === 0x47
  for (at = 1; at <= stream.byteLength; at++) demuxer.push(stream.slice(at - 1, at))
  demuxer.end()
  const catalog: Catalog = { version: 1, tracks }
  return {
    catalog,
    frames,
    ends: isTransport ? ends.map((end, i) => lastPacket(stream, end, frames[i])) : ends,
  }
}

/** In a transport stream a frame may be out later than its last byte: that lies in the last packet of its PID before the next begins. */
function lastPacket(stream: Uint8Array, end: number, frame: Frame | undefined): number {
  const tail = Buffer.from(frame?.data.subarray(-16) ?? [])
  const from = Math.max(0, end - 512 * 1024)
  const found = Buffer.from(
    stream.buffer,
    stream.byteOffset + from,
    Math.min(end, stream.byteLength) - from,
  ).lastIndexOf(tail)
  return found < 0 ? end : Math.ceil((from + found + tail.byteLength) / packetBytes) * packetBytes
}

function row(name: string, times: readonly number[]): void {
  // What comes before the tracks are known waits for them.
  const sorted = times.slice(rate).toSorted((a, b) => a - b)
  const at = (share: number): string =>
    (sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN).toFixed(2)
  console.log(`| ${name} | ${times.length} | ${at(0.5)} | ${at(0.95)} | ${at(0.99)} | ${at(1)} |`)
}
