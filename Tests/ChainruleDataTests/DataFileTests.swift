import Foundation
import TestSupport
import Testing

@testable import ChainruleData

/// The bytes of a text in hexadecimal.
func decoded(hex: String) -> [UInt8] {
  let digits = Array(hex.utf8).map { UInt8($0 > 0x39 ? $0 - 0x57 : $0 - 0x30) }
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// What gzip makes of texts: Tests/Fixtures/gzip/gzip.json, written by generate.py beside it.
struct GzipFiles {
  private struct File: Decodable { let name, text, packed: String }
  private let files: [String: (text: [UInt8], packed: [UInt8])]

  init() throws {
    let files = try JSONDecoder().decode(
      [File].self, from: Data(contentsOf: fixtures.appending(path: "gzip/gzip.json")))
    self.files = Dictionary(
      uniqueKeysWithValues: files.map { ($0.name, (decoded(hex: $0.text), decoded(hex: $0.packed))) })
  }

  subscript(name: String) -> (text: [UInt8], packed: [UInt8]) { files[name]! }
}

@Suite("Files of data")
struct DataFileTests {
  private let gzip: GzipFiles

  init() throws { gzip = try GzipFiles() }

  @Test(arguments: ["fast", "best", "members", "filled up with zeros"])
  func `what gzip has packed is read as what it was`(name: String) throws {
    let (text, packed) = gzip[name]
    #expect(try DataFile(bytes: packed).bytes == text)
    let (plain, file) = (try TemporaryFile(text), try TemporaryFile(packed))
    let reader = try FileReader(file.path)
    for place in [50, 90, 10, 10] {
      #expect(try reader.bytes(at: place, count: 30) == Array(text[place..<place + 30]))
    }
    #expect(try Dataset<Double>(csvFile: file.path) == Dataset<Double>(csvFile: plain.path))
    for chunk in [64, 1 << 20] {
      let source = try CSVSource<Double>(
        file: file.path, options: CSVOptions(task: .regression), chunk: chunk)
      #expect(try Dataset(source) == Dataset<Double>(csvFile: plain.path))
      // A second epoch begins again.
      #expect(try Dataset(source).rows == 40)
    }
  }

  @Test func `IDX files may be packed, in memory and batch by batch`() throws {
    let (images, labels) = (
      try TemporaryFile(gzip["images"].packed), try TemporaryFile(gzip["labels"].packed)
    )
    let data = try Dataset<Float>(idxImages: images.path, labels: labels.path)
    #expect(data.labels == [3, 0, 1])
    #expect(
      (0..<3).map { data[row: $0].features.map { $0 * 255 } } == [
        [0, 255, 51, 102], [1, 2, 3, 4], [5, 6, 7, 8],
      ])
    let source = try IDXSource<Float>(images: images.path, labels: labels.path)
    for size in 1...4 {
      var batches = try source.makeBatches(of: size)
      for first in stride(from: 0, to: 3, by: size) {
        #expect(try batches.next() == data[rows: first..<min(first + size, 3)])
      }
      #expect(try batches.next() == nil)
    }
    #expect(try Dataset(source) == data)
  }

  @Test func `data cut short or damaged anywhere are refused`() throws {
    for name in ["best", "members", "images"] {
      let (text, packed) = gzip[name]
      for count in 2..<packed.count where name != "members" || count != packed.count {
        let message = complaint { try DataFile(bytes: Array(packed[..<count]), name: "x.gz").bytes }
        // The first member ends within; what is left of the file is whole.
        if message.hasPrefix("no error") {
          #expect(name == "members")
        } else {
          #expect(message.hasPrefix("x.gz: the compressed data are cut short"))
        }
      }
      // The header's time, flags and name of a system are of no weight.
      for place in packed.indices where !(4..<10 ~= place) {
        var damaged = packed
        damaged[place] ^= 0x10
        if let file = try? DataFile(bytes: damaged) {
          // Not gzip any more, or the beginning of the second member.
          #expect(place < 2 || file.bytes == text || name == "members", "\(place)")
        }
      }
    }
    let (_, packed) = gzip["best"]
    #expect(
      complaint { try DataFile(bytes: packed + [7]).bytes }
        == "the compressed data are followed by something else")
    var damaged = packed
    damaged[packed.count - 6] ^= 1
    #expect(
      complaint { try DataFile(bytes: damaged).bytes }
        == "the compressed data are damaged: incorrect data check")
    let file = try TemporaryFile(Array(packed.dropLast(3)))
    #expect(
      complaint { try Dataset(CSVSource<Float>(file: file.path, options: CSVOptions(task: .regression))) }
        == "\(file.path): the compressed data are cut short")
  }

  @Test func `no more is unpacked than a header asks for`() throws {
    let bomb = gzip["bomb"].packed
    #expect(bomb.count < 2000)
    #expect(
      complaint { try IDXFile(DataFile(bytes: bomb, name: "b")).dimensions }
        == "b: expected 4 bytes after the header, for 4 elements of uint8; got \(12 + (1 << 16) + 1 - 8)")
    var unpacked: [UInt8] = []
    let inflater = try Inflater(.gzip, bomb[...], file: nil)
    #expect(try inflater.append(100, to: &unpacked) == 100)
    #expect(unpacked.count == 100)
    let file = try TemporaryFile(bomb)
    #expect(
      complaint { try IDXSource<Float>(images: file.path, labels: file.path) }
        .hasSuffix("expected 4 bytes after the header, for 4 elements of uint8; got 5 or more"))
  }

  @Test func `a file that says that it unpacks beyond the bound is refused before it is unpacked`() throws {
    let bound =
      "bytes; at most 1073741824 are unpacked into memory, the greater of 1 GiB and 100 times the "
    // The size at the end of a gzip file is believed where the file has as many bytes.
    var packed = gzip["best"].packed
    packed.replaceSubrange(packed.count - 4..<packed.count, with: [0, 0, 0, 0x80])
    var found = complaint { try DataFile(bytes: packed, name: "x.gz") }
    #expect(found == "x.gz: the compressed data are damaged: incorrect length check")
    // The headers of an .npy and an IDX file, in a block that is stored.
    let text = Array("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }\n".utf8)
    for head in [
      [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(text.count), 0] + text,
      [0, 0, 0x0D, 1, 0x3B, 0x9A, 0xCA, 0],
    ] {
      let size = [UInt8(head.count), 0, ~UInt8(head.count), 255]
      let sum = crc32(of: head)
      let bytes =
        [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1] + size + head
        + (0..<4).map { UInt8(sum >> (8 * UInt32($0)) & 255) }
        + [UInt8(head.count), 0, 0, 0]
      found = complaint { try DataFile(bytes: bytes, name: "x.gz") }
      #expect(found.contains("the file has \(4_000_000_000 + head.count) \(bound)"), "\(found)")
    }
  }

  @Test func `a file of any size on disk is an error, not the end of the process`() throws {
    // A sparse file of the largest size there can be.
    let file = try TemporaryFile([0x61])
    guard truncate(file.path, .max) == 0 || truncate(file.path, 1 << 62) == 0 else { return }
    let found = complaint { try DataFile(file.path) }
    #expect(found.hasPrefix("reading \(file.path): there is no memory for "), "\(found)")
    #expect(
      found.hasSuffix(
        " bytes. Free memory, raise the process's limit (ulimit -v), or use fewer rows at a time"))
  }

  @Test func `the first bytes show the format, packed or not`() throws {
    func format(_ text: String) throws -> DataFile.Format { try DataFile(bytes: Array(text.utf8)).format }
    #expect(try format("a,b\n1,2\n") == .csv)
    #expect(try format("") == .csv)
    #expect(try format("4 2 1\n0 0\n0\n") == .fann)
    #expect(try format("\n 4\t2  1 \r\n0 0\n") == .fann)
    #expect(try DataFile(bytes: gzip["images"].text).format == .idx)
    #expect(try DataFile(bytes: gzip["images"].packed).format == .idx)
    #expect(try DataFile(bytes: gzip["best"].packed, format: .fann).format == .fann)
    for file in try NumPyFiles.read().accepted.prefix(2) {
      #expect(try DataFile(bytes: file.bytes).format == .npy)
    }
    for file in try NumPyFiles.read().archives { #expect(try DataFile(bytes: file.bytes).format == .npz) }
    let packed = try TemporaryFile(gzip["labels"].packed)
    #expect(try DataFile.format(ofFile: packed.path) == .idx)
    #expect(complaint { try DataFile("/no/such") } == "/no/such: No such file or directory")
  }
}
