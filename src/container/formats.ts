/** All containers that a stream may come in; pages need only those that browsers record. */
import { FlvDemuxer } from './flv/demuxer.ts'
import { MpegTsDemuxer } from './mpegts/demuxer.ts'
import { type ContainerFormat, recordedFormats } from './recognise.ts'

export const allFormats: readonly ContainerFormat[] = [
  ...recordedFormats,
  {
    name: 'FLV',
    begins: first => first.getUint32(0) === 0x464c5601,
    make: handler => new FlvDemuxer(handler),
  },
  {
    name: 'MPEG-TS',
    begins: first => first.getUint8(0) === 0x47,
    make: handler => new MpegTsDemuxer(handler),
  },
]
