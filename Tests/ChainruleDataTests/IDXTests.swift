import Foundation
import TestSupport
import Testing

@testable import ChainruleData

@Suite("IDX")
struct IDXTests {
  /// An IDX file's bytes.
  private func idx(_ type: UInt8, _ dimensions: [UInt32], _ elements: [UInt8]) -> [UInt8] {
    [0, 0, type, UInt8(dimensions.count)] + dimensions.flatMap(bigEndian) + elements
  }

  private func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
  }

  private func complaint(_ bytes: [UInt8]) -> String {
    do {
      return "no error, but \(try IDXFile(bytes: bytes).dimensions)"
    } catch {
      return "\(error)"
    }
  }

  /// Two images of 2 × 3.
  private var images: [UInt8] { idx(8, [2, 2, 3], [0, 255, 51, 102, 1, 2, 3, 4, 5, 6, 7, 8]) }
  private var labels: [UInt8] { idx(8, [2], [3, 0]) }

  @Test func `unsigned bytes become levels from 0 to 1 and labels classes`() throws {
    let data = try Dataset<Float>(images: IDXFile(bytes: images), labels: IDXFile(bytes: labels))
    #expect((data.rows, data.inputs, data.outputs) == (2, 6, 4))
    #expect(data[row: 0].features.map { $0 * 255 } == [0, 255, 51, 102, 1, 2])
    #expect(data.classLabels == ["0", "1", "2", "3"])
    #expect(data.labels == [3, 0])
  }

  @Test func `elements of the other types are taken as they are`() throws {
    let bytes: [(UInt8, [UInt8], [Double])] = [
      (0x09, [0xFF, 0x7F], [-1, 127]),
      (0x0B, bigEndian(Int16(-2)) + bigEndian(Int16(300)), [-2, 300]),
      (0x0C, bigEndian(Int32(-70_000)) + bigEndian(Int32(5)), [-70_000, 5]),
      (
        0x0D, bigEndian(Float(0.1).bitPattern) + bigEndian(Float(-2.5).bitPattern),
        [Double(Float(0.1)), -2.5]
      ),
      (0x0E, bigEndian(0.1.bitPattern) + bigEndian((-1e300).bitPattern), [0.1, -1e300]),
    ]
    for (type, elements, values) in bytes {
      #expect(try IDXFile(bytes: idx(type, [2], elements)).values() as [Double] == values)
    }
  }

  @Test func `a number that is not finite is refused with its place`() throws {
    let file = try IDXFile(bytes: idx(0x0D, [2, 1], bigEndian(UInt32(0)) + bigEndian(Float.nan.bitPattern)))
    #expect {
      try file.values() as [Float]
    } throws: { error in
      "\(error)" == "row 2, column 1 is nan in float32; expected a finite number"
    }
    // 1e300 is finite as it stands in the file, and infinite in float32.
    let large = try IDXFile(bytes: idx(0x0E, [1, 1], bigEndian(1e300.bitPattern)))
    #expect(throws: ChainruleError.self) { try large.values() as [Float] }
    #expect(try large.values() as [Double] == [1e300])
  }

  @Test func `a file cut short at any byte, or too long, is refused`() {
    for bytes in [images, labels] {
      for count in 0..<bytes.count {
        #expect(throws: ChainruleError.self, "\(count) bytes") { try IDXFile(bytes: Array(bytes[..<count])) }
      }
      #expect(throws: ChainruleError.self) { try IDXFile(bytes: bytes + [0]) }
    }
    #expect(
      complaint(Array(images.dropLast()))
        == "expected 12 bytes after the header, for 2 × 2 × 3 elements of uint8; got 11")
    #expect(complaint(Array(images[..<10])) == "the file ends in its header: 10 bytes of 16")
  }

  @Test func `a header that is none is refused`() {
    #expect(complaint(Array("label,pixel\n".utf8)).hasPrefix("this is not an IDX file"))
    #expect(complaint(idx(7, [1], [0])).hasPrefix("the IDX element type is 0x7"))
    #expect(complaint([0, 0, 8, 0]) == "the IDX header gives no dimensions")
    #expect(complaint(idx(8, [0, 28], [])) == "the IDX dimensions are 0 × 28; expected at least 1 each")
    #expect(complaint(idx(0x0E, [.max, .max, .max], [])).hasSuffix("are too large"))
  }

  @Test func `labels that do not fit the images are refused`() throws {
    func complaint(_ labels: [UInt8]) -> String {
      do {
        return
          "no error, but \(try Dataset<Float>(images: IDXFile(bytes: images), labels: IDXFile(bytes: labels)))"
      } catch {
        return "\(error)"
      }
    }
    #expect(complaint(idx(8, [3], [0, 1, 2])) == "there are 3 labels for 2 images")
    #expect(complaint(images) == "the labels have 3 dimensions; expected 1")
    #expect(complaint(idx(9, [2], [1, 0xFF])) == "the label of row 2 is -1; expected 0 to 65535")
    #expect(
      complaint(idx(0x0C, [2], bigEndian(Int32.max) + bigEndian(Int32(0)))).hasPrefix("the label of row 1 is")
    )
    #expect(complaint(idx(0x0D, [2], bigEndian(UInt64(0)))) == "the labels are float32; expected integers")
  }

  @Test func `files are read by path, and one that only begins as gzip does is refused`() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let (imagesFile, labelsFile) = (folder.appendingPathComponent("i"), folder.appendingPathComponent("l"))
    try Data(images).write(to: imagesFile)
    try Data(labels).write(to: labelsFile)
    #expect(try Dataset<Double>(idxImages: imagesFile.path, labels: labelsFile.path).rows == 2)
    try Data([0x1F, 0x8B] + labels).write(to: labelsFile)
    #expect {
      try Dataset<Double>(idxImages: imagesFile.path, labels: labelsFile.path)
    } throws: { error in
      "\(error)" == "\(labelsFile.path): the compressed data are damaged: unknown compression method"
    }
  }
}
