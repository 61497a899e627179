import Chainrule
import Foundation
import SwiftProtobuf
import TestSupport
import Testing

@testable import ChainruleExport

/// What stands in a model of the values in another file, `w.data`, which has 24 bytes.
private struct External: Sendable {
  var entries: [String: String]
  /// Why it is refused, behind the tensor's name; nil where it is read.
  var reason: String?
}

@Suite struct `Values in another file` {
  private let folder = FileManager.default.temporaryDirectory.appending(path: "onnx-\(UUID())")

  private func refusal(_ entries: [(String, String)]) throws -> String? {
    var file = Onnx_ModelProto()
    file.opsetImport = [.with { $0.version = 17 }]
    file.graph.input = [
      .with {
        $0.name = "x"
        $0.type.tensorType.elemType = 1
      }
    ]
    file.graph.output = [.with { $0.name = "y" }]
    file.graph.node = [
      .with {
        $0.opType = "MatMul"
        $0.input = ["x", "w"]
        $0.output = ["y"]
      }
    ]
    var tensor = Onnx_TensorProto()
    tensor.name = "w"
    tensor.dims = [2, 3]
    tensor.dataType = 1
    tensor.dataLocation = .external
    for (key, value) in entries {
      var entry = Onnx_StringStringEntryProto()
      entry.key = key
      entry.value = value
      tensor.externalData.append(entry)
    }
    file.graph.initializer = [tensor]
    let path = folder.appending(path: "model.onnx")
    let bytes: Data = try file.serializedBytes()
    try bytes.write(to: path)
    let saved: SavedModel
    do {
      saved = try SavedModel(onnx: path.path)
    } catch {
      guard case .invalidModel(_, let reason) = error else { throw error }
      return reason
    }
    guard case .float32(let model) = saved else { return "float64" }
    #expect(try model.predict([1, 10]) == [41, 52, 63])
    return nil
  }

  private func makeFolder() throws {
    try FileManager.default.createDirectory(
      at: folder.appending(path: "sub"), withIntermediateDirectories: true)
    let values: [Float] = [1, 2, 3, 4, 5, 6]
    let bytes = values.withUnsafeBytes { Data($0) }
    try bytes.write(to: folder.appending(path: "w.data"))
    try bytes.write(to: folder.appending(path: "sub/w.data"))
    try (Data(count: 8) + bytes + Data(count: 5)).write(to: folder.appending(path: "padded"))
    try FileManager.default.createSymbolicLink(
      at: folder.appending(path: "link"), withDestinationURL: folder.appending(path: "w.data"))
    #expect(mkfifo(folder.appending(path: "pipe").path, 0o600) == 0)
  }

  @Test(arguments: [
    External(entries: ["location": "w.data"]),
    External(entries: ["location": "w.data", "offset": "0", "length": "24", "checksum": "?"]),
    External(entries: ["location": "padded", "offset": "8", "length": "24"]),
    External(
      entries: ["location": "padded"], reason: "it has 37 bytes; its shape [2, 3] says 6 values"),
    External(
      entries: ["location": "w.data", "length": "20"],
      reason: "it has 5 values; its shape [2, 3] says 6 values"),
    External(
      entries: ["location": "w.data", "length": "0"],
      reason: "it has 0 values; its shape [2, 3] says 6 values"),
    External(
      entries: ["location": "w.data", "offset": "8", "length": "24"],
      reason:
        "its values are 24 bytes from byte 8 of \"w.data\", which has 24 bytes; the file is cut short, or of "
        + "another model"),
    External(
      entries: ["location": "w.data", "offset": "9223372036854775807", "length": "24"],
      reason:
        "its values are 24 bytes from byte 9223372036854775807 of \"w.data\", which has 24 bytes; the file is cut "
        + "short, or of another model"),
    External(
      entries: ["location": "w.data", "offset": "-8"],
      reason: "the offset of its values in \"w.data\" is \"-8\"; expected 0 or more"),
    External(
      entries: ["location": "w.data", "length": "1e3"],
      reason: "the length of its values in \"w.data\" is \"1e3\"; expected 0 or more"),
    External(
      entries: ["location": "none.data"],
      reason:
        "its values are in the file \"none.data\" next to the model, which cannot be read: No such file or directory"
    ),
    External(
      entries: ["location": "sub/w.data"],
      reason: "its values are in \"sub/w.data\"; expected the name of a file in the model's own folder"),
    External(
      entries: ["location": "../w.data"],
      reason: "its values are in \"../w.data\"; expected the name of a file in the model's own folder"),
    External(
      entries: ["location": "/dev/zero"],
      reason: "its values are in \"/dev/zero\"; expected the name of a file in the model's own folder"),
    External(
      entries: ["location": ".."],
      reason: "its values are in \"..\"; expected the name of a file in the model's own folder"),
    External(
      entries: ["location": ""],
      reason: "its values are in \"\"; expected the name of a file in the model's own folder"),
    External(
      entries: ["location": "w.data\0x"],
      reason: "its values are in \"w.data\\0x\"; expected the name of a file in the model's own folder"),
    External(
      entries: ["location": "link"],
      reason:
        "its values are in \"link\", which is a symbolic link; expected the file itself next to the model"),
    External(
      entries: ["location": "sub"],
      reason: "its values are in \"sub\", which is not a file; expected one next to the model"),
    External(
      entries: ["location": "pipe"],
      reason: "its values are in \"pipe\", which is not a file; expected one next to the model"),
    External(
      entries: ["offset": "0"],
      reason: "its values are in another file, which it does not name; export the model again"),
  ])
  fileprivate func `are read from a plain file next to the model alone`(external: External) throws {
    try makeFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let refusal = try refusal(external.entries.sorted { $0.key < $1.key })
    #expect(refusal == external.reason.map { "tensor \"w\": \($0)" })
  }

  @Test func `are named once`() throws {
    try makeFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    #expect(
      try refusal([("location", "w.data"), ("location", "padded")])
        == "tensor \"w\": \"location\" of its external data occurs twice")
  }
}
