"""ONNX's messages, as far as they are read: each field's number, its name, and what it holds.

Numbers and names are those of onnx.proto [1]. What is passed over, documentation say, is listed where a second copy of
it, or bytes of another type in its place, should be refused too.

[1] https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from symbreak.checkpoints._protobuf import Schema, names

MODEL: Schema = names(
    "1 ir_version INT",
    "2 producer_name TEXT",
    "3 producer_version TEXT",
    "4 domain TEXT",
    "5 model_version INT",
    "6 doc_string DATA",
    "7 graph DATA",
    "8 opset_import DATAS",
    "14 metadata_props DATAS",
    "20 training_info DATAS",
    "25 functions DATAS",
    "26 configuration DATAS",
)
GRAPH: Schema = names(
    "1 node DATAS",
    "2 name TEXT",
    "5 initializer DATAS",
    "10 doc_string DATA",
    "11 input DATAS",
    "12 output DATAS",
    "13 value_info DATAS",
    "14 quantization_annotation DATAS",
    "15 sparse_initializer DATAS",
    "16 metadata_props DATAS",
)
NODE: Schema = names(
    "1 input TEXTS",
    "2 output TEXTS",
    "3 name TEXT",
    "4 op_type TEXT",
    "5 attribute DATAS",
    "6 doc_string DATA",
    "7 domain TEXT",
    "8 overload TEXT",
    "9 metadata_props DATAS",
)
ATTRIBUTE: Schema = names(
    "1 name TEXT",
    "2 f FLOAT",
    "3 i INT",
    "4 s DATA",
    "5 t DATA",
    "6 g DATA",
    "7 floats FLOATS",
    "8 ints INTS",
    "9 strings DATAS",
    "10 tensors DATAS",
    "11 graphs DATAS",
    "13 doc_string DATA",
    "14 tp DATA",
    "15 type_protos DATAS",
    "20 type INT",
    "21 ref_attr_name TEXT",
    "22 sparse_tensor DATA",
    "23 sparse_tensors DATAS",
)
TENSOR: Schema = names(
    "1 dims INTS",
    "2 data_type INT",
    "3 segment DATA",
    "4 float_data FLOATS",
    "5 int32_data INTS",
    "6 string_data DATAS",
    "7 int64_data INTS",
    "8 name TEXT",
    "9 raw_data DATA",
    "10 double_data DOUBLES",
    "11 uint64_data INTS",
    "12 doc_string DATA",
    "13 external_data DATAS",
    "14 data_location INT",
    "16 metadata_props DATAS",
)
SPARSE: Schema = names("1 values DATA", "2 indices DATA", "3 dims INTS")
FUNCTION: Schema = names(
    "1 name TEXT",
    "4 input TEXTS",
    "5 output TEXTS",
    "6 attribute TEXTS",
    "7 node DATAS",
    "8 doc_string DATA",
    "9 opset_import DATAS",
    "10 domain TEXT",
    "11 attribute_proto DATAS",
    "12 value_info DATAS",
    "13 overload TEXT",
    "14 metadata_props DATAS",
)
TRAINING: Schema = names(
    "1 initialization DATA", "2 algorithm DATA", "3 initialization_binding DATAS", "4 update_binding DATAS"
)
OPSET: Schema = names("1 domain TEXT", "2 version INT")
PAIR: Schema = names("1 key TEXT", "2 value TEXT")
VALUE: Schema = names("1 name TEXT", "2 type DATA", "3 doc_string DATA", "4 metadata_props DATAS")
TYPE: Schema = names("1 tensor_type DATA")
TENSOR_TYPE: Schema = names("1 elem_type INT", "2 shape DATA")
SHAPE: Schema = names("1 dim DATAS")
DIMENSION: Schema = names("1 dim_value INT", "2 dim_param TEXT", "3 denotation TEXT")
