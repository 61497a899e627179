import Chainrule
import Foundation
import SwiftProtobuf
import TestSupport
import Testing

@testable import ChainruleExport

@Suite("Export to ONNX") struct ExportTests {
  /// The tensors are written apart from the rest of the file.
  @Test(arguments: ScalarType.allCases)
  func `a file is the message that protobuf would write, in small pieces`(scalar: ScalarType) throws {
    let layers: [Layer] = [
      .scaling(Scaling(mean: [1, 2, 3], deviation: [1, 2, 3])), .dense(Dense(300, activation: .gelu)),
      .batchNorm(BatchNorm()), .dense(Dense(300, activation: .mish)), .residual(span: 1),
      .layerNorm(LayerNorm()),
      .dense(Dense(1, activation: .selu)),
    ]
    switch scalar {
    case .float32: try check(Model(Network<Float>(inputs: 3, layers: layers, seed: 1)))
    case .float64: try check(Model(Network<Double>(inputs: 3, layers: layers, seed: 1)))
    }
  }

  private func check(_ model: Model<some NetworkScalar>) throws {
    let bytes = try model.exportONNX()
    let message = try Onnx_ModelProto(serializedBytes: bytes)
    #expect(try message.serializedBytes() == bytes)
    #expect(message.graph.initializer.contains { $0.name == "layers.3.weights" && $0.dims == [300, 300] })

    var pieces: [[UInt8]] = []
    try model.exportONNX { piece in pieces.append(piece) }
    #expect(Data(pieces.joined()) == bytes)
    #expect(try #require(pieces.map(\.count).max()) <= 65_536)

    let file = try TemporaryFile("")
    try model.exportONNX(to: file.path)
    #expect(try Data(contentsOf: URL(fileURLWithPath: file.path)) == bytes)
  }
}
