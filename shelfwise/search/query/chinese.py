"""Chinese: segments and one script.

Segments come from jieba's dictionary and hidden Markov model (rjieba), with the catalogue's own words added.
Traditional and simplified are made one by OpenCC's tables.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import rjieba

#: Characters written without spaces between words: Han, kana and their iteration marks.
HAN = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
RUN = re.compile(f"[{HAN}]+")
_TERM_FREQUENCY = 20_000  # a catalogue's own word wins over its parts

#: Words of shops that jieba's dictionary (newspapers) lacks or cuts apart.
_SHOP_WORDS = """
充电宝 手机壳 手机膜 数据线 充电器 充电头 蓝牙 卫衣 加绒 保温杯 电饭煲 电饭锅 空气炸锅 破壁机
养生壶 榨汁机 扫地机 吸尘器 加湿器 除湿机 净水器 吹风机 电吹风 电动牙刷 剃须刀 洗面奶 护手霜 面膜
口红 唇膏 眼影 防晒霜 爽肤水 洗发水 护发素 沐浴露 纸尿裤 拉拉裤 婴儿车 奶瓶 辅食 积木 拼图 遥控车
毛绒玩具 瑜伽垫 哑铃 跳绳 跑步鞋 运动鞋 帆布鞋 高跟鞋 拖鞋 凉鞋 双肩包 单肩包 斜挎包 拉杆箱 行李箱
羽绒服 冲锋衣 连衣裙 半身裙 牛仔裤 打底裤 休闲裤 衬衫 睡衣 内衣 袜子 围巾 帽子 四件套 被套 床单
枕头 乳胶枕 羽绒被 毛巾 浴巾 收纳箱 收纳盒 置物架 台灯 落地灯 吸顶灯 沙发 茶几 书桌 电脑椅 办公椅
人体工学椅 机械键盘 鼠标垫 显示器 路由器 固态硬盘 移动硬盘 优盘 摄像头 智能手表 手环 音箱 投影仪
打印机 墨盒 硒鼓 中性笔 笔记本 猫粮 狗粮 猫砂 牵引绳 鱼缸 多肉 花盆 螺丝刀 电钻 行车记录仪 车载
脚垫 机油 玻璃水 帐篷 睡袋 登山杖 钓鱼竿 坚果 牛肉干 螺蛳粉 酸辣粉 速溶咖啡 挂耳咖啡 普洱茶 龙井茶
铁观音 燕麦片 蜂蜜 大米 食用油 橄榄油 保鲜膜 垃圾袋 抽纸 卷纸 湿巾 洗衣液 洗洁精 炒锅 不粘锅 砧板
菜刀 餐具 便当盒 吸管杯 自拍杆 降噪 无线 头戴式 入耳式 大容量 快充 防水 透气 速干 轻薄 便携 折叠
儿童 男士 女士 男款 女款 长款 短款 加厚
"""

#: Words of talk, and of Taiwan and Hong Kong (beyond what OpenCC's phrase table has), for those of mainland shops.
REGIONAL = {
    "滑鼠": "鼠标",
    "行动电源": "充电宝",
    "行充": "充电宝",
    "随身碟": "优盘",
    "蓝芽": "蓝牙",
    "印表机": "打印机",
    "笔电": "笔记本电脑",
    "萤幕": "显示器",
    "荧幕": "显示器",
    "脚踏车": "自行车",
    "保温瓶": "保温杯",
    "洗发精": "洗发水",
    "洗面乳": "洗面奶",
    "电锅": "电饭煲",
    "冷气": "空调",
    "手机套": "手机壳",
    "网路": "网络",
    "无线网路": "无线网络",
    "硬碟": "硬盘",
    "喇叭": "音箱",
    "尿布": "纸尿裤",
    "尿不湿": "纸尿裤",
    "刮胡刀": "剃须刀",
    "原子笔": "圆珠笔",
    "卫生纸": "卷纸",
    "智慧": "智能",
    "智慧型": "智能",
    "耳麦": "耳机",
    "吹风筒": "吹风机",
    "电单车": "电动车",
}


@functools.cache
def _to_simplified() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")


@functools.lru_cache(maxsize=1 << 15)
def simplified(character: str) -> str:
    """One character in mainland script; always one character."""
    changed: str = _to_simplified().convert(character)
    return changed if len(changed) == 1 else character


def mainland(word: str) -> str:
    """What mainland shops call a (simplified) word; itself where they are the same."""
    return REGIONAL.get(word, word)


class Segmenter:
    """Words of running Chinese text. `terms`: the catalogue's own brands and words, normalised."""

    def __init__(self, terms: Iterable[str] = ()) -> None:
        self._jieba = rjieba.Jieba()
        for term in (*_SHOP_WORDS.split(), *REGIONAL, *terms):
            if 2 <= len(term) <= 12 and RUN.fullmatch(term):
                self._jieba.add_word(term, _TERM_FREQUENCY, "n")

    def words(self, run: str) -> list[str]:
        """`run` cut into words, none overlapping."""
        cut: list[str] = self._jieba.cut(run)
        return cut

    def spans(self, run: str) -> list[tuple[int, int]]:
        """(start, end) of all that an index should know of `run`: words, words within them, pairs, last characters.

        Pairs of neighbouring characters find what was cut otherwise in the query; a word's last character is
        often its noun (杯 finds 保温杯).
        """
        spans = {(start, end) for _, start, end in self._jieba.tokenize(run, "search")}
        spans.update((end - 1, end) for start, end in list(spans) if end - start > 1)
        spans.update((at, at + 2) for at in range(len(run) - 1))
        return sorted(spans, key=lambda span: (span[0], -span[1]))

    def parts(self, word: str) -> list[str]:
        """The known words that `word` consists of, in order and together all of it; itself if it is one."""
        if len(word) < 3:
            return [word]
        inner = [(s, e) for _, s, e in self._jieba.tokenize(word, "search") if e - s < len(word)]
        parts, at = [], 0
        for start, end in sorted(inner, key=lambda span: (span[0], -span[1])):
            if start < at:
                continue
            if start > at:
                parts.append(word[at:start])
            parts.append(word[start:end])
            at = end
        if not parts:  # an unknown word: by pairs, which every index has
            return [word[at : at + 2] for at in range(len(word) - 1)]
        if at < len(word):
            parts.append(word[at:])
        return parts
